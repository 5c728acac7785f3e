// A bot for tests that speaks JSON and binary sound. usage: bot_json.js ADDRESS PORT [TOKEN]
// It tells on standard output what it hears, a line of JSON each; its voice is a tone. Keys tell it what to do:
// 1 speak for 10 s, with a mark behind it    2 clear    3 echo from now on    5 hang up    6 hand over to 1002
'use strict';
const http = require('http');
const { WebSocketServer } = require('ws');

const [address, port, token] = process.argv.slice(2);
const tell = (what) => process.stdout.write(JSON.stringify(what) + '\n');

function tone(hertz, ms, rate) {
  const sound = Buffer.alloc(ms * rate / 1000 * 2);
  for (let i = 0; i < sound.length / 2; i++)
    sound.writeInt16LE(Math.round(0.25 * 32767 * Math.sin(2 * Math.PI * hertz * i / rate)), 2 * i);
  return sound;
}

function serve(ws, request) {
  let rate, echo = false, frames = 0;
  const send = (message) => ws.send(JSON.stringify(message));
  const speak = (hertz, ms, name) => {
    ws.send(tone(hertz, ms, rate));
    send({ type: 'mark', name });
  };
  const keys = {
    1: () => speak(700, 10000, 'long'),
    2: () => send({ type: 'clear' }),
    3: () => { echo = true; },
    5: () => send({ type: 'hangup' }),
    6: () => { send({ type: 'note', text: 'caller: the other one, please' }); send({ type: 'transfer', to: '1002' }); },
  };
  tell({ type: 'connection', trusted: request.headers.authorization === `Bearer ${token}` });
  ws.on('message', (bytes, binary) => {
    if (binary) {
      frames += 1;
      if (echo) ws.send(bytes);
      if (frames === 50) tell({ type: 'second', bytes: bytes.length });
      return;
    }
    const m = JSON.parse(bytes);
    tell(m);
    if (m.type === 'start') {
      rate = m.rate;
      speak(900, 1000, 'greeting');
    } else if (m.type === 'dtmf') {
      (keys[m.digit] || (() => {}))();
    }
  });
  ws.on('close', (code) => tell({ type: 'closed', code }));
}

const server = http.createServer();
new WebSocketServer({ server }).on('connection', serve);
server.listen(Number(port), address, () => tell({ type: 'listening' }));
