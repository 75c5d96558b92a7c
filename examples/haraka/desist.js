'use strict'
// A Haraka plugin: before a recipient is accepted, desist is asked whether it may be mailed.
//
// Copy it to plugins/desist.js of Haraka, name it in config/plugins, and write config/desist.ini:
//
//   host = 127.0.0.1
//   port = 8026
//   ; a stream's number, or any
//   list = 1
//   ; milliseconds
//   timeout = 3000
//   ; accept a recipient of whom nobody can tell now
//   pass = false
//
// desist listens there by `[lookup] listen`. Without an answer a recipient is deferred: an unknown
// answer is no permission.

const net = require('node:net')

// An answer is one line, and short.
const MOST = 4096

exports.register = function () {
  const load = () => {
    const { main } = this.config.get('desist.ini', { booleans: ['-main.pass'] }, load)
    this.desist = {
      host: main.host || '127.0.0.1',
      port: Number(main.port || 8026),
      list: String(main.list || 'any'),
      timeout: Number(main.timeout || 3000),
      pass: main.pass === true,
    }
  }
  load()
  this.register_hook('rcpt', 'may_be_mailed')
  this.register_hook('rcpt_ok', 'may_be_mailed')
}

// Other plugins decide whether a recipient is ours to accept, and may end the hook `rcpt` by that;
// what they accept is asked about in `rcpt_ok`. Each recipient is asked about once.
exports.may_be_mailed = function (next, connection, params) {
  const recipient = Array.isArray(params) ? params[0] : params
  if (!recipient || recipient.desist_asked) return next()
  recipient.desist_asked = true
  // What throws here would accept the recipient.
  let address
  try {
    address = address_of(recipient)
  } catch (error) {
    connection.logerror(this, `desist: ${error.message}`)
    return next(DENYSOFT, 'cannot tell whether this may be sent')
  }
  exports.ask(this.desist, address, (answer) => {
    const [word, ...rest] = answer.split(' ')
    const why = rest.join(' ')
    switch (word) {
      case 'allowed':
        return next()
      case 'suppressed':
        return next(DENY, `not to be mailed: ${why}`)
      case 'invalid':
        return next(DENY, `no address: ${why}`)
      default:
        connection.logerror(this, `desist: ${answer}`)
        return this.desist.pass ? next() : next(DENYSOFT, 'cannot tell whether this may be sent')
    }
  })
}

// A method in older versions of Haraka, a text in newer ones.
function address_of(recipient) {
  const { address } = recipient
  const text = typeof address === 'function' ? recipient.address() : address
  if (typeof text !== 'string') throw new Error('a recipient without an address')
  return text
}

// Asks once, and tells the answer once: a line as desist gives it, or `temporary WHY`.
exports.ask = function (desist, address, told) {
  let heard = ''
  let over = false
  const done = (answer) => {
    if (over) return
    over = true
    clearTimeout(timer)
    socket.destroy()
    told(answer)
  }
  // A line end would make one question two.
  if (/[\r\n\0]/.test(address)) return told('invalid control character')
  const socket = net.connect({ host: desist.host, port: desist.port })
  const timer = setTimeout(() => done('temporary no answer in time'), desist.timeout)
  socket.setEncoding('utf8')
  socket.on('connect', () => socket.write(`check ${desist.list} ${address}\n`))
  socket.on('data', (text) => {
    heard += text
    const end = heard.indexOf('\n')
    if (end >= 0) done(heard.slice(0, end))
    else if (heard.length > MOST) done('temporary too long an answer')
  })
  socket.on('error', (error) => done(`temporary ${error.code || error.message}`))
  socket.on('close', () => done('temporary the connection was closed'))
}
