// A bot for tests, of the kind that is written for Twilio Media Streams. usage: bot.js ADDRESS PORT [TOKEN]
// It tells on standard output what it hears, a line of JSON each; its voice is a tone. Keys tell it what to do:
// 1 speak for 10 s, with a mark behind it    2 clear    3 echo from now on    4 ask twice to be heard: 700, 900 Hz
// 5 end the call by HTTP    6 hand over to 1002 by HTTP    7 close politely    8 break off    9 a line of transcript
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const https = require('https');
const { WebSocketServer } = require('ws');

const [address, port, token, api] = process.argv.slice(2);
const tell = (what) => process.stdout.write(JSON.stringify(what) + '\n');

function ulaw(sample) {
  const sign = sample < 0 ? 0x80 : 0;
  let v = Math.min(32635, Math.abs(sample)) + 132;
  let exponent = 7;
  for (let mask = 0x4000; exponent > 0 && !(v & mask); exponent--) mask >>= 1;
  return ~(sign | exponent << 4 | v >> exponent + 3 & 15) & 255;
}

function tone(hertz, ms) {
  const sound = Buffer.alloc(ms * 8);
  for (let i = 0; i < sound.length; i++)
    sound[i] = ulaw(Math.round(0.25 * 32767 * Math.sin(2 * Math.PI * hertz * i / 8000)));
  return sound.toString('base64');
}

function update(start, form) {
  const body = new URLSearchParams(form).toString();
  const [host, at] = api.split(':');
  const request = http.request({
    host, port: at, method: 'POST', auth: `${start.accountSid}:${token}`,
    path: `/2010-04-01/Accounts/${start.accountSid}/Calls/${start.callSid}.json`,
    headers: { 'Content-Type': 'application/x-www-form-urlencoded', 'Content-Length': body.length },
  }, (reply) => {
    let text = '';
    reply.on('data', (part) => { text += part; });
    reply.on('end', () => tell({ posted: form, status: reply.statusCode, reply: JSON.parse(text) }));
  });
  request.end(body);
}

function serve(ws, request) {
  const url = `${key ? 'wss' : 'ws'}://${request.headers.host}${request.url}`;
  const signature = crypto.createHmac('sha1', token || '').update(url).digest('base64');
  let start, echo = false, media = 0, bytes = 0;
  const send = (message) => ws.send(JSON.stringify({ streamSid: start.streamSid, ...message }));
  const speak = (hertz, ms, mark) => {
    send({ event: 'media', media: { payload: tone(hertz, ms) } });
    send({ event: 'mark', mark: { name: mark } });
  };
  const keys = {
    1: () => speak(700, 10000, 'long'),
    2: () => send({ event: 'clear' }),
    3: () => { echo = true; },
    4: () => { speak(700, 1000, 'first'); speak(900, 1000, 'second'); },
    5: () => update(start, { Status: 'completed' }),
    6: () => update(start, { Twiml: '<Response><Dial>1002</Dial></Response>' }),
    7: () => ws.close(1000),
    8: () => ws.terminate(),
    9: () => send({ event: 'transcript', transcript: { text: 'caller: hello' } }),
  };
  tell({ connection: url, signed: request.headers['x-twilio-signature'] === signature });
  ws.on('message', (text, binary) => {
    const m = JSON.parse(text);
    if (m.event === 'media') {
      media += 1;
      bytes += Buffer.from(m.media.payload, 'base64').length;
      if (echo) send({ event: 'media', media: { payload: m.media.payload } });
      if (media % 50 === 1) tell({ ...m, media: { ...m.media, payload: bytes }, at: Date.now() });
      return;
    }
    tell({ ...m, binary });
    if (m.event === 'start') {
      start = m.start;
      speak(900, 1000, 'greeting');
    } else if (m.event === 'dtmf') {
      (keys[m.dtmf.digit] || (() => {}))();
    }
  });
  ws.on('close', (code) => tell({ closed: code, media, bytes }));
}

// With a certificate in the environment it is a bot behind wss://.
const { BOT_KEY: key, BOT_CERTIFICATE: certificate } = process.env;
const server = key ? https.createServer({ key: fs.readFileSync(key), cert: fs.readFileSync(certificate) })
  : http.createServer();
server.on('tlsClientError', (error) => tell({ refused: String(error.message) }));
new WebSocketServer({ server }).on('connection', serve);
server.listen(Number(port), address, () => tell({ listening: true }));
