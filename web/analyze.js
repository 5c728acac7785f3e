// The page of `ringdown analyze --html`: everything it shows is in the script element "data". What a
// peer has sent only ever becomes text (textContent, attributes of SVG), never markup.
(() => {
'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const SVG = 'http://www.w3.org/2000/svg';
const ROWS = 500, RUNGS = 1500;
const words = {
  en: {calls: 'calls', search: 'number, name, Call-ID', allScenarios: 'every scenario',
    allOutcomes: 'every outcome', start: 'start', caller: 'caller', callee: 'callee', what: 'what it was',
    outcome: 'outcome', length: 'length', unknown: 'unknown', sure: 'sure', dialled: 'dialled',
    answeredBy: 'answered by', endedBy: 'ended by', pdd: 'post-dial delay', ring: 'ringing',
    talk: 'talk', legs: 'Legs and what ties them', leg: 'leg', tied: 'tied by', but: 'but',
    frame: 'frame', frames: 'frames', happened: 'What happened', attempts: 'Attempts, in their order',
    holds: 'On hold', toEnd: 'the end', messages: 'Messages', media: 'Media', from: 'from', to: 'to',
    codec: 'codec', packets: 'packets', lost: 'lost', jitter: 'jitter', digits: 'digits',
    audio: 'Sound', more: 'more', theme: 'light or dark', none: 'Choose a call.', noText:
    'The text of this message is not in the page.', again: 'again', by: 'by', target: 'to',
    leftOut: (n, first) => `${n} further calls are not in this page, which would be too large: ` +
      `--call N --html FILE makes a page of one of them (N from ${first} on), --csv lists them all.`,
    explained: 'Explained', files: 'Input', warnings: 'Warnings', who: {caller: 'the caller',
    callee: 'the other end'}, shown: 'of', sip: 'SIP messages', mos: 'MOS', noAnswer: 'no answer seen'},
  ko: {calls: '통화', search: '번호, 이름, Call-ID', allScenarios: '모든 시나리오', allOutcomes: '모든 결과',
    start: '시작', caller: '발신', callee: '착신', what: '시나리오', outcome: '결과', length: '길이',
    unknown: '알 수 없음', sure: '확신', dialled: '누른 번호', answeredBy: '받은 사람', endedBy: '끊은 쪽',
    pdd: '다이얼 후 지연', ring: '호출', talk: '통화 시간', legs: '레그과 그 근거', leg: '레그', tied: '근거',
    but: '반대', frame: '프레임', frames: '프레임', happened: '있었던 일', attempts: '시도한 순서',
    holds: '보류', toEnd: '끝까지', messages: '메시지 흐름', media: '미디어', from: '보낸 쪽', to: '받은 쪽',
    codec: '코덱', packets: '패킷', lost: '손실', jitter: '지터', digits: '숫자 키', audio: '소리',
    more: '더 보기', theme: '밝게 또는 어둡게', none: '통화를 고르세요.', noText:
    '이 메시지의 본문은 페이지에 없습니다.', again: '재전송', by: '누가', target: '누구에게',
    leftOut: (n, first) => `통화 ${n}개는 페이지가 너무 커지므로 여기에 없습니다. ` +
      `--call N --html FILE로 그중 하나(N은 ${first}부터)의 페이지를 만들고, --csv로 모두 나열합니다.`,
    explained: '설명', files: '입력', warnings: '경고', who: {caller: '발신자', callee: '상대'},
    shown: '/', sip: 'SIP 메시지', mos: 'MOS', noAnswer: '응답이 보이지 않음'},
};
let lang = data.lang === 'ko' ? 'ko' : 'en';
let chosen = null, shownRows = ROWS;
const t = (name) => words[lang][name];
// The words of the report for people, as in the text: group and word to text.
const kind = (group, word) => (data.words[lang] || {})[group + ':' + word] || word;

function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === 'text') element.textContent = value;
    else if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((c) => c !== null && c !== undefined));
  return element;
}
function draw(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}
const seconds = (s) => s === null || s === undefined ? '–'
  : s < 1 ? Math.round(s * 1000) + ' ms'
  : s < 60 ? s.toFixed(1) + ' s'
  : Math.floor(s / 60) + ':' + String(Math.floor(s % 60)).padStart(2, '0');
const percent = (v) => Math.round(v * 100) + ' %';
const callerOf = (c) => c.caller_unknown ? `${t('unknown')} (${c.dialled})` : c.caller || t('unknown');
const scenarioOf = (c) => (c.form ? kind('f', c.form) + ' ' : '') + kind('s', c.scenario);
const outcomeClass = (c) => c.outcome === 'ANSWERED' ? 'good'
  : c.outcome === 'FAILED' || c.outcome === 'UNAVAILABLE' ? 'bad' : 'warn';
const clock = (iso) => { const d = new Date(iso); return isNaN(d) ? iso : d.toLocaleTimeString(
  lang === 'ko' ? 'ko-KR' : 'en-GB', {hour12: false}); };
const haystack = (c) => [c.caller, c.caller_name, c.callee, c.dialled, c.answered_by,
  ...c.legs.map((l) => l.call_id)].join(' ').toLowerCase();

// ---- the list ------------------------------------------------------------------------------------
const filter = {text: '', scenario: '', outcome: ''};
function matching() {
  return data.calls.filter((c) => (!filter.scenario || c.scenario === filter.scenario) &&
    (!filter.outcome || c.outcome === filter.outcome) &&
    (!filter.text || haystack(c).includes(filter.text)));
}
function row(c) {
  const choose = () => { chosen = c.number; location.hash = 'call=' + c.number; show(); };
  return make('tr', {class: 'call' + (c.number === chosen ? ' chosen' : ''), tabindex: 0,
    'data-call': c.number, onclick: choose,
    onkeydown: (e) => { if (e.key === 'Enter') choose(); }},
    make('td', {class: 'number', text: c.number}),
    make('td', {}, make('div', {text: callerOf(c)}),
      make('div', {class: 'faint', text: clock(c.start)})),
    make('td', {}, make('div', {text: c.callee || c.dialled}),
      make('div', {class: outcomeClass(c), text: kind('o', c.outcome) +
        (c.status >= 300 ? ' ' + c.status : '')})),
    make('td', {}, make('span', {class: 'tag', text: scenarioOf(c)}),
      make('div', {class: 'faint', text: seconds(c.duration_s)})));
}
function showList() {
  const found = matching();
  const table = make('table', {id: 'calls'}, make('thead', {}, make('tr', {},
    make('th', {class: 'number', text: '#'}), make('th', {text: t('caller')}),
    make('th', {text: t('callee')}), make('th', {text: t('what')}))),
    make('tbody', {}, ...found.slice(0, shownRows).map(row)));
  const list = document.getElementById('list');
  list.replaceChildren(make('div', {class: 'faint', id: 'count',
    text: `${found.length} ${t('shown')} ${data.calls.length} ${t('calls')}`}), table);
  if (data.calls_left_out)
    list.append(make('p', {class: 'faint', id: 'left-out',
      text: t('leftOut')(data.calls_left_out, data.calls.length + 1)}));
  if (found.length > shownRows)
    list.append(make('button', {text: t('more'), onclick: () => { shownRows += ROWS; showList(); }}));
}

// ---- one call ------------------------------------------------------------------------------------
function facts(c) {
  const rows = [[t('caller'), callerOf(c) + (c.caller_name ? ` (${c.caller_name})` : '')],
    [t('callee'), c.callee], [t('dialled'), c.dialled], [t('answeredBy'), c.answered_by],
    [t('endedBy'), c.ended_by ? t('who')[c.ended_by] : ''],
    [t('outcome'), kind('o', c.outcome) + (c.status ? ', ' + c.status : '')],
    [t('start'), c.start.replace('T', ' ').replace(/(\.\d{3})\d*Z/, '$1 UTC')],
    [t('length'), seconds(c.duration_s)], [t('pdd'), seconds(c.post_dial_delay_s)],
    [t('ring'), seconds(c.ringing_s)], [t('talk'), seconds(c.talk_s)],
    [t('mos'), c.mos === null ? '' : c.mos.toFixed(2)]];
  return make('dl', {}, ...rows.filter(([, v]) => v && v !== '–').flatMap(([k, v]) =>
    [make('dt', {text: k}), make('dd', {text: v})]));
}
function legLine(c, leg) {
  const ends = leg.hosts.slice(0, 2).map((h) => h.address).join(' → ');
  return make('li', {}, `${t('leg')} ${leg.number}: ${leg.from.user || ''} → ${leg.request_user ||
    leg.to.user || ''}, ${ends}`, make('div', {class: 'faint', text: 'Call-ID ' + leg.call_id}));
}
function edgeLine(e) {
  const part = (list, name) => list.length ? make('div', {class: 'faint', text: `${name}: ` +
    list.map((p) => (kind('b', p.what) === p.what ? p.text : kind('b', p.what)) +
      (p.frame ? ` (${t('frame')} ${p.frame})` : '')).join('; ')}) : null;
  return make('li', {}, kind('e', e.kind).replace('{a}', e.from).replace('{b}', e.to) + ' ',
    make('span', {class: 'tag', text: percent(e.confidence)}),
    part(e.evidence.filter((p) => p.points >= 0), t('tied')),
    part(e.evidence.filter((p) => p.points < 0), t('but')));
}
function traitLine(c, trait) {
  return make('li', {}, `+${(trait.from_s - c.start_s).toFixed(3)} ${scenarioOf(trait)} `,
    make('span', {class: 'tag', text: percent(trait.confidence)}),
    trait.who ? ` ${t('by')} ${trait.who}` : '',
    trait.target ? ` ${t('target')} ${trait.target}` : '',
    make('span', {class: 'faint', text: trait.frames.length ? ` ${t('frames')} ` +
      trait.frames.join(', ') : ''}));
}
function findingLine(c, f) {
  const looks = {error: 'bad', warning: 'warn'}[f.severity] || '';
  return make('li', {class: looks, title: f.rule}, `+${(f.at_s - c.start_s).toFixed(3)} ` +
    (lang === 'ko' ? f.text_ko : f.text) + (f.count > 1 ? ` ×${f.count}` : ''),
    make('span', {class: 'faint', text: ' ' + [f.frames.length ? `${t('frame')} ` +
      f.frames.join(', ') : '', f.source || ''].filter(Boolean).join('; ')}));
}
function section(title, ...children) {
  const kept = children.filter(Boolean);
  return kept.length ? make('section', {}, make('h3', {text: title}), ...kept) : null;
}
const bullets = (items) => items.length ? make('ul', {}, ...items) : null;

function holds(c) {
  return c.legs.flatMap((l) => l.holds.map((h) => make('li', {text:
    `+${(h.from_s - c.start_s).toFixed(3)} – ` +
    (h.to_s === null ? t('toEnd') : '+' + (h.to_s - c.start_s).toFixed(3)) +
    `, ${t('leg')} ${l.number}, ${t('by')} ` +
    (h.by === 'caller' ? l.from.user || '' : l.request_user || l.to.user || '')})));
}
function attempts(c) {
  return c.attempts.length < 2 ? [] : c.attempts.map((a) => make('li', {text:
    `+${(a.at_s - c.start_s).toFixed(3)} ${a.number}: ${a.status || t('noAnswer')}` +
    (a.end_s === null ? '' : `, ${seconds(a.end_s - a.at_s)}`)}));
}
function streams(c) {
  if (!c.streams.length) return null;
  const heads = ['leg', 'from', 'to', 'codec', 'packets', 'lost', 'jitter', 'mos', 'digits'];
  return make('div', {class: 'scroll'}, make('table', {id: 'streams'},
    make('thead', {}, make('tr', {}, ...heads.map((h) => make('th', {text: t(h)})))),
    make('tbody', {}, ...c.streams.map((s) => make('tr', {}, ...[s.leg, s.from, s.to,
      (s.encrypted ? 'SRTP ' : '') + (s.codec || ''), s.packets, s.loss_percent.toFixed(2) + ' %',
      s.jitter_ms.toFixed(1) + ' ms', s.mos === null ? '' : s.mos.toFixed(2), s.digits]
      .map((v) => make('td', {text: v})))))));
}

// ---- the ladder ----------------------------------------------------------------------------------
function showMessage(c, rung, group) {
  const leg = c.legs.find((l) => l.number === rung.leg);
  const m = leg && rung.message !== null ? leg.messages[rung.message] : null;
  for (const g of document.querySelectorAll('.rung.chosen')) g.classList.remove('chosen');
  group.classList.add('chosen');
  const pane = document.getElementById('message');
  pane.hidden = false;
  pane.replaceChildren(make('div', {class: 'faint', text: `${t('frame')} ${rung.frame}, +` +
    `${(rung.at_s - c.start_s).toFixed(6)} s, ${t('leg')} ${rung.leg}` +
    (m ? `, ${m.transport}` : '')}),
    make('pre', {text: m ? m.text || t('noText') : rung.label}));
}
function rungGroup(c, rung, y, gap, left, width) {
  const x = (column) => left + gap / 2 + column * gap;
  const message = rung.message !== null;
  const leg = c.legs.findIndex((l) => l.number === rung.leg);
  const failure = message && rung.status >= 400;
  const group = draw('g', {class: 'rung leg' + (leg % 5) + (failure ? ' failure' : '') +
    (rung.again ? ' again' : '') + (message ? '' : ' media'), tabindex: 0, role: 'button'});
  const a = x(rung.from), b = x(rung.to), right = b >= a;
  group.append(draw('rect', {class: 'hit', x: 0, y: y - 17, width, height: 24}));
  group.append(draw('text', {class: 'time', x: left - 6, y}, (rung.at_s - c.start_s).toFixed(3)));
  if (a === b) {
    group.append(draw('path', {d: `M${a} ${y - 6}h26v8h-22`}));
    group.append(draw('text', {class: 'loop', x: a + 34, y: y + 2}, rung.label));
  } else {
    const room = Math.floor((Math.abs(b - a) - 16) / 7.3);
    const label = rung.label.length > room ? rung.label.slice(0, Math.max(1, room - 1)) + '…'
      : rung.label;
    group.append(draw('path', {d: `M${a} ${y + 3}H${right ? b - 7 : b + 7}`}));
    group.append(draw('path', {class: 'head', d: right ? `M${b} ${y + 3}l-9 -4v8z`
      : `M${b} ${y + 3}l9 -4v8z`}));
    group.append(draw('text', {x: (a + b) / 2, y: y - 2}, label));
  }
  group.append(draw('title', {}, rung.label + (rung.again ? ` (${t('again')})` : '')));
  const choose = () => showMessage(c, rung, group);
  group.addEventListener('click', choose);
  group.addEventListener('keydown', (e) => { if (e.key === 'Enter') choose(); });
  return group;
}
function ladder(c) {
  const columns = c.ladder.columns, rungs = c.ladder.rungs.slice(0, RUNGS);
  if (!rungs.length) return null;
  const left = 74, room = document.getElementById('detail').clientWidth - 130,
    gap = Math.max(150, Math.min(320, room / columns.length));
  const width = left + gap * columns.length, height = 60 + rungs.length * 26;
  const svg = draw('svg', {class: 'ladder', width, height, viewBox: `0 0 ${width} ${height}`,
    role: 'img', 'aria-label': t('messages')});
  columns.forEach((column, i) => {
    const x = left + gap / 2 + i * gap;
    svg.append(draw('line', {class: 'life', x1: x, x2: x, y1: 40, y2: height}));
    svg.append(draw('text', {class: 'host', x, y: 14}, column.address));
    svg.append(draw('text', {class: 'name', x, y: 30}, (column.name || '').slice(0, 28)));
  });
  rungs.forEach((rung, i) => svg.append(rungGroup(c, rung, 62 + i * 26, gap, left, width)));
  return make('div', {class: 'scroll'}, svg);
}

// ---- sound ---------------------------------------------------------------------------------------
function track(sound) {
  const audio = make('audio', {controls: '', preload: 'metadata', src: sound.wav});
  const n = sound.peaks.length;
  const svg = draw('svg', {class: 'wave', viewBox: `0 0 ${Math.max(n, 1)} 100`,
    preserveAspectRatio: 'none'});
  const d = sound.peaks.map((p, i) => `M${i} ${49 - p / 5.3}h1V${51 + p / 5.3}h-1z`).join('');
  svg.append(draw('path', {class: 'sound', d}));
  const at = draw('line', {class: 'at', x1: 0, x2: 0, y1: 0, y2: 100, 'vector-effect':
    'non-scaling-stroke'});
  svg.append(at);
  audio.addEventListener('timeupdate', () => {
    const x = audio.duration ? audio.currentTime / audio.duration * n : 0;
    at.setAttribute('x1', x); at.setAttribute('x2', x);
  });
  svg.addEventListener('click', (e) => {
    const box = svg.getBoundingClientRect();
    if (audio.duration) audio.currentTime = (e.clientX - box.left) / box.width * audio.duration;
  });
  return make('div', {class: 'track'}, make('div', {text: sound.name}), svg, audio);
}

function showCall() {
  const detail = document.getElementById('detail');
  const c = data.calls.find((x) => x.number === chosen);
  if (!c) { detail.replaceChildren(...overview()); return; }
  const message = make('div', {id: 'message'});
  message.hidden = true;
  detail.replaceChildren(...[make('h2', {}, `${callerOf(c)} → ${c.callee || c.dialled} `,
    make('span', {class: 'tag', text: `${scenarioOf(c)} ${percent(c.confidence)}`})), facts(c),
    section(t('audio'), ...(c.audio || []).map(track)),
    section(t('messages'), ladder(c)), message,
    section(t('explained'), bullets(c.findings.map((f) => findingLine(c, f)))),
    section(t('happened'), bullets(c.traits.map((x) => traitLine(c, x)))),
    section(t('attempts'), bullets(attempts(c))), section(t('holds'), bullets(holds(c))),
    section(t('legs'), bullets(c.legs.map((l) => legLine(c, l))), bullets(c.edges.map(edgeLine))),
    
    section(t('media'), streams(c))].filter(Boolean));
}
function overview() {
  const i = data.input;
  const counts = (o) => Object.entries(o).map(([k, v]) => `${k} ${v}`).join(', ');
  return [make('p', {class: 'faint', text: t('none')}),
    section(t('files'), bullets(i.files.map((f) => make('li', {text:
      `${f.name}: ${f.frames} ${t('frames')}, ${f.from || ''} – ${f.to || ''}`})))),
    section(t('sip'), bullets([i.transports.map((x) => `${x.name} ${x.messages} (${x.percent} %)`)
      .join(', '), counts(i.methods), counts(i.statuses)].map((text) => make('li', {text})))),
    section(t('warnings'), bullets(i.warnings.map((w) => make('li', {text:
      (w.frame ? `${t('frame')} ${w.frame}: ` : '') + w.text}))))].filter(Boolean);
}

// ---- the head ------------------------------------------------------------------------------------
function choice(id, all, group, name) {
  const values = [...new Set(data.calls.map((c) => c[name]))].sort();
  const select = make('select', {id, 'aria-label': all, onchange: (e) => {
    filter[name] = e.target.value; showList(); }}, make('option', {value: '', text: all}),
    ...values.map((v) => make('option', {value: v, text: kind(group, v)})));
  select.value = filter[name];
  return select;
}
function showHead() {
  const search = make('input', {id: 'search', type: 'search', placeholder: t('search'),
    'aria-label': t('search'), oninput: (e) => { filter.text = e.target.value.toLowerCase();
      showList(); }});
  search.value = filter.text;
  document.querySelector('header').replaceChildren(make('h1', {text: 'Ringdown'}), search,
    choice('scenario', t('allScenarios'), 's', 'scenario'),
    choice('outcome', t('allOutcomes'), 'o', 'outcome'), make('span', {class: 'space'}),
    make('button', {id: 'lang', text: lang === 'ko' ? 'English' : '한국어',
      onclick: () => { lang = lang === 'ko' ? 'en' : 'ko'; show(); }}),
    make('button', {id: 'theme', text: '◐', title: t('theme'), 'aria-label': t('theme'),
      onclick: () => { const dark = document.documentElement.dataset.theme === 'dark' ||
        (!document.documentElement.dataset.theme && matchMedia('(prefers-color-scheme: dark)').matches);
      document.documentElement.dataset.theme = dark ? 'light' : 'dark'; }}));
}
function show() {
  document.documentElement.lang = lang;
  showHead();
  showList();
  showCall();
}
function fromHash() {
  const m = /call=(\d+)/.exec(location.hash);
  chosen = m ? Number(m[1]) : null;
}
addEventListener('hashchange', () => { fromHash(); show(); });
fromHash();
show();
})();
