// The picture of a channel's last minutes: a row for each input and one for the output, a column
// for each segment. What is wrong has a colour, a letter and a text, so that no colour is needed.
'use strict';

const TIMELINE_SECONDS = 180;
const ROW_HEIGHT = 26;
const LABEL_WIDTH = 64;
const PICTURE_WIDTH = 1120;
const SVG = 'http://www.w3.org/2000/svg';

// The worst first: a cell shows its first. Colours are of Paul Tol's set for all eyes.
const MARKS = [
  { name: 'missing', sign: '×', fill: 'none', line: '#cc3311', text: 'did not come' },
  { name: 'gap', sign: '×', fill: '#cc3311', text: 'listed without media' },
  { name: 'divergent', sign: '≠', fill: '#aa3377', text: 'other bytes than the copy in use' },
  { name: 'damaged', sign: '!', fill: '#ee7733', text: 'something of it was lost' },
  { name: 'odd', sign: '~', fill: '#885522', text: 'not as long as its place, for want of a better copy' },
  { name: 'late', sign: 'L', fill: '#ddcc66', ink: '#000', text: 'late by half a segment or more' },
  { name: 'filled', sign: 'f', fill: '#009988', text: 'late media took a gap’s place' },
  { name: 'standby', sign: 's', fill: 'none', line: '#888888', text: 'the other input is in use' },
  { name: 'used', sign: '', fill: '#0077bb', text: 'its copy was taken' },
  { name: 'duplicate', sign: '', fill: '#99ccee', text: 'the same bytes were there' },
];
// What lies before a segment of the output, drawn above the row.
const BREAKS = [
  { name: 'discontinuity', sign: '◆', text: 'a discontinuity before it' },
  { name: 'switch', sign: '▲', text: 'another input leads from here' },
];

function shape(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// White on a filled cell, unless the mark says otherwise.
function ink(mark) {
  if (!mark.fill || mark.fill === 'none') return { class: 'sign' };
  return { class: 'sign', style: `fill: ${mark.ink ?? '#fff'}` };
}

function clock(milliseconds) {
  return `${new Date(milliseconds).toISOString().slice(11, 23)} UTC`;
}

function described(row, cell) {
  const words = [...MARKS, ...BREAKS].filter((mark) => cell.marks.includes(mark.name));
  const from = row.name === 'output' && cell.input ? [`from input ${cell.input}`] : [];
  const lag = row.name !== 'output' && !cell.marks.includes('missing')
    ? [`${(cell.lag_ms / 1000).toFixed(2)} s after its end`] : [];
  const facts = [...words.map((mark) => `${mark.name}: ${mark.text}`), ...from, ...lag];
  return `${row.name}, ${clock(cell.start_ms)}\n${facts.join('\n')}`;
}

function cellShape(row, cell, x, y, width) {
  const group = shape('g', { 'data-marks': cell.marks.join(' '), 'data-start': cell.start_ms });
  const mark = MARKS.find((known) => cell.marks.includes(known.name))
    ?? { sign: cell.input ?? '', fill: '#0077bb' };
  const [sign, left] = [String(mark.sign), Math.max(1, width - 1)];
  const line = mark.line ?? 'none';
  group.append(
    shape('title', {}, described(row, cell)),
    shape('rect', {
      x, y, width: left, height: ROW_HEIGHT - 8, rx: 2, fill: mark.fill, stroke: line,
      'stroke-dasharray': mark.line ? '3 2' : 'none', 'pointer-events': 'all',
    }),
  );
  const middle = x + left / 2;
  if (sign && width >= 5) {
    group.append(shape('text', { x: middle, y: y + 13, ...ink(mark) }, sign));
  }
  BREAKS.filter((known) => cell.marks.includes(known.name)).forEach((known, at) => {
    group.append(
      shape('line', { x1: x, x2: x, y1: y - 6, y2: y + ROW_HEIGHT - 7, class: 'break' }),
      shape('text', { x: x + 9 * at, y: y - 3, class: 'sign' }, known.sign),
    );
  });
  return group;
}

// Where the newest media would end now, had it gone on.
function axisEnd(timeline) {
  const ends = timeline.rows.flatMap((row) => row.cells.map((cell) => cell.end_ms));
  return ends.length ? Math.max(...ends) + timeline.edge_age_ms : null;
}

function drawTimeline(timeline) {
  const height = ROW_HEIGHT * timeline.rows.length + 26;
  const picture = shape('svg', {
    viewBox: `0 0 ${PICTURE_WIDTH} ${height}`, class: 'timeline', role: 'img',
    'aria-label': 'the last minutes of the inputs and the output',
  });
  const end = axisEnd(timeline);
  const begin = end - TIMELINE_SECONDS * 1000;
  const scale = (PICTURE_WIDTH - LABEL_WIDTH) / (TIMELINE_SECONDS * 1000);
  const at = (milliseconds) => LABEL_WIDTH + (milliseconds - begin) * scale;
  timeline.rows.forEach((row, index) => {
    const y = 12 + index * ROW_HEIGHT;
    const group = shape('g', { 'data-row': row.name });
    group.append(
      shape('text', { x: 0, y: y + 13, class: 'label' }, row.name),
      shape('rect', {
        x: LABEL_WIDTH, y: y - 1, width: PICTURE_WIDTH - LABEL_WIDTH, height: ROW_HEIGHT - 6,
        class: 'lane',
      }),
    );
    for (const cell of row.cells) {
      if (end === null || cell.start_ms < begin) continue;
      const x = at(cell.start_ms);
      group.append(cellShape(row, cell, x, y, at(cell.end_ms) - x));
    }
    picture.append(group);
  });
  if (end !== null) {
    for (let tick = Math.ceil(begin / 30000) * 30000; tick < end; tick += 30000) {
      const label = new Date(tick).toISOString().slice(11, 19);
      picture.append(
        shape('line', { x1: at(tick), x2: at(tick), y1: 8, y2: height - 14, class: 'tick' }),
        shape('text', { x: at(tick) + 2, y: height - 3, class: 'axis' }, label),
      );
    }
  }
  return picture;
}

function timelineLegend() {
  const legend = element('p', undefined, { class: 'legend' });
  for (const mark of [...MARKS, ...BREAKS]) {
    const swatch = shape('svg', { width: 16, height: 16 });
    if (mark.fill) {
      swatch.append(shape('rect', {
        x: 1, y: 1, width: 14, height: 14, rx: 2, fill: mark.fill, stroke: mark.line ?? 'none',
        'stroke-dasharray': mark.line ? '3 2' : 'none',
      }));
    }
    swatch.append(shape('text', { x: 8, y: 12, ...ink(mark) }, mark.sign));
    const entry = element('span', undefined, { title: mark.text });
    entry.append(swatch, mark.name);
    legend.append(entry);
  }
  return legend;
}

// A channel's part of the page; `refresh` asks for its picture while it is open.
function timelineCard(id) {
  const card = element('details', undefined, { class: 'channel' });
  card.dataset.channel = id;
  const [picture, list] = [element('div'), element('ul', undefined, { class: 'happenings' })];
  card.append(element('summary', id), picture, list);
  card.refresh = async () => {
    if (!card.open) return;
    const answer = await fetch(`/api/channels/${encodeURIComponent(id)}/timeline`);
    if (!answer.ok) return;
    const timeline = await answer.json();
    picture.replaceChildren(drawTimeline(timeline));
    const newest = timeline.happenings.slice(-8).reverse();
    list.replaceChildren(...newest.map((it) =>
      element('li', `${clock(it.at_ms)} ${it.kind}: ${it.text}`)));
  };
  return card;
}
