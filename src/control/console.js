// The watch page: asks for the state each second and plays endpoints on demand.
'use strict';

const HISTORY_LENGTH = 60;
const histories = new Map();
const players = new Map();
const timelines = new Map();
// Channels whose pictures are open at first.
const TIMELINES_OPEN = 4;

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function sparkline(key, value) {
  const history = histories.get(key) ?? [];
  history.push(value);
  if (history.length > HISTORY_LENGTH) history.shift();
  histories.set(key, history);
  const top = Math.max(1, ...history);
  const points = history.map((y, x) => `${x * 2},${23 - (22 * y) / top}`).join(' ');
  const space = 'http://www.w3.org/2000/svg';
  const picture = document.createElementNS(space, 'svg');
  picture.setAttribute('width', HISTORY_LENGTH * 2);
  picture.setAttribute('height', 24);
  const line = document.createElementNS(space, 'polyline');
  line.setAttribute('points', points);
  picture.append(line);
  return picture;
}

function inputRow(channel, input) {
  const row = element('tr');
  row.dataset.channel = channel.id;
  row.dataset.input = input.input;
  row.dataset.alive = input.alive;
  const active = channel.active_input === input.input ? ', in use' : '';
  const age = input.last_segment_age_seconds;
  const picture = element('td');
  picture.append(sparkline(`${channel.id}/${input.input}`, input.bits_per_second));
  row.append(
    element('td', channel.id),
    element('td', `${Math.round(channel.window_seconds)} s`),
    element('td', String(input.input)),
    element('td', (input.alive ? 'alive' : 'silent') + active, {
      class: input.alive ? 'alive' : 'silent',
    }),
    element('td', `${(input.bits_per_second / 1e6).toFixed(2)} Mbit/s`),
    picture,
    element('td', age === null ? 'none yet' : `${age.toFixed(1)} s ago`),
  );
  return row;
}

function playerCard(endpoint, path, port) {
  const url = `${location.protocol}//${location.hostname}:${port}${path}`;
  const card = element('div', undefined, { class: 'player' });
  card.dataset.endpoint = endpoint.id;
  const video = element('video', undefined, { controls: '', muted: '', playsinline: '' });
  video.muted = true;
  const button = element('button', 'Play', { type: 'button' });
  const message = element('span', '', { role: 'status' });
  const player = new shaka.Player();
  player.addEventListener('error', (event) => {
    message.textContent = ` error ${event.detail.code}`;
  });
  button.addEventListener('click', async () => {
    message.textContent = '';
    try {
      await player.attach(video);
      await player.load(url);
      await video.play();
    } catch (error) {
      message.textContent = ` ${error.code ? `error ${error.code}` : error.message}`;
    }
  });
  const link = element('a', url, { href: url });
  const stale = element('strong', ' stale: manifests are refused ', { class: 'silent', hidden: '' });
  const title = element('strong', `${endpoint.id} (${endpoint.packager})`);
  card.append(title, ` of ${endpoint.channel}`, stale, video, button, message, element('br'), link);
  card.stop = () => player.destroy();
  card.show = (shown) => { stale.hidden = !shown.stale; };
  return card;
}

function showPlayers(status) {
  const wanted = new Set();
  for (const endpoint of status.endpoints) {
    for (const path of endpoint.paths) {
      const key = `${status.data_port}${path}`;
      wanted.add(key);
      if (!players.has(key)) {
        const card = playerCard(endpoint, path, status.data_port);
        players.set(key, card);
        document.getElementById('players').append(card);
      }
      players.get(key).show(endpoint);
    }
  }
  for (const [key, card] of players) {
    if (wanted.has(key)) continue;
    card.stop();
    card.remove();
    players.delete(key);
  }
}

async function showTimelines(status) {
  for (const { id } of status.channels) {
    if (timelines.has(id)) continue;
    const card = timelineCard(id);
    card.open = timelines.size < TIMELINES_OPEN;
    timelines.set(id, card);
    document.getElementById('timelines').append(card);
  }
  for (const [id, card] of timelines) {
    if (status.channels.some((channel) => channel.id === id)) continue;
    card.remove();
    timelines.delete(id);
  }
  await Promise.all([...timelines.values()].map((card) => card.refresh()));
}

async function refresh() {
  const readiness = document.getElementById('readiness');
  try {
    const status = await (await fetch('/api/status')).json();
    const { ready, shards_serving: serving, shards, driver } = status.readiness;
    readiness.textContent =
      `${ready ? 'ready' : 'not ready'}: ${serving} of ${shards} shards serve (${driver})`;
    const rows = status.channels.flatMap((channel) =>
      channel.inputs.map((input) => inputRow(channel, input)));
    document.getElementById('inputs').replaceChildren(...rows);
    showPlayers(status);
    await showTimelines(status);
  } catch (error) {
    readiness.textContent = `no answer: ${error.message}`;
  }
  setTimeout(refresh, 1000);
}

document.getElementById('legend').append(timelineLegend());
shaka.polyfill.installAll();
refresh();
