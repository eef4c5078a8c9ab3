// chokidar: watch() with ignoreInitial, every event told.
'use strict'
const line = require('./_line.cjs')
const chokidar = require('chokidar')

line.begin()
const watcher = chokidar.watch(line.folder, { ignoreInitial: true })
watcher.on('all', (_, name) => line.tell(name))
watcher.on('ready', () => line.ready())
