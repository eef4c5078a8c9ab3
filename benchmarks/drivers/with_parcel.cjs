// @parcel/watcher: subscribe(), every event told.
'use strict'
const line = require('./_line.cjs')
const watcher = require('@parcel/watcher')

line.begin()
watcher.subscribe(line.folder, (error, events) => {
  if (error) throw error
  for (const event of events) line.tell(event.path)
}).then(() => line.ready())
