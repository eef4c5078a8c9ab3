// The program's side of the line protocol of _line.py, for Node.js.
'use strict'
const path = require('path')
const readline = require('readline')

const latency = process.argv.includes('--latency')
const folder = process.argv.slice(2).find(word => !word.startsWith('-'))
const cpu = () => { const u = process.cpuUsage(); return (u.user + u.system) / 1e6 }
let events = 0
const seen = new Set()
const named = new Set()
let before, begun, resident

exports.folder = folder
exports.begin = () => {
  resident = process.memoryUsage().rss
  before = cpu()
  begun = process.hrtime.bigint()
}
exports.tell = name => {
  events++
  seen.add(path.basename(name))
  if (latency) {
    const moment = process.hrtime.bigint()
    const base = path.basename(name)
    if (base.startsWith('lat-') && !named.has(base)) {
      named.add(base)
      process.stdout.write(`saw ${base} ${moment}\n`)
    }
  }
}
exports.ready = () => {
  const wall = Number(process.hrtime.bigint() - begun) / 1e9
  const figures = { cpu: cpu() - before, wall, rss_before: resident, traced: 0, resident: process.memoryUsage().rss }
  process.stdout.write(JSON.stringify(figures) + '\n')
  readline.createInterface({ input: process.stdin }).on('line', command => {
    if (command === 'stop') process.exit(0)
    const distinct = [...seen].filter(name => name.startsWith('f')).length
    process.stdout.write(JSON.stringify({ cpu: cpu(), events, distinct }) + '\n')
  }).on('close', () => process.exit(0))
}
