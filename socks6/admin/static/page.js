"use strict";

// Whatever comes from the proxy is put in as text, never as HTML: strangers choose the
// names of users and of destinations.

const INTERVAL = 1000;
const POINTS = 121;
const ROWS = 200;
const WIDTH = 480, HEIGHT = 120;

const byId = (id) => document.getElementById(id);

function show(id, text) {
  setText(byId(id), text);
}

function setText(element, text) {
  // What has not changed is left alone, so that nobody's selection gets lost.
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

// Words for numbers.

function octets(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) {
    count /= 1024;
    unit += 1;
  }
  return `${unit && count < 100 ? count.toFixed(1) : Math.round(count)} ${units[unit]}`;
}

function duration(seconds) {
  if (seconds === null) {
    return "–";
  }
  const whole = Math.max(0, Math.floor(seconds));
  const two = (value) => String(value).padStart(2, "0");
  const days = Math.floor(whole / 86400), hours = Math.floor(whole / 3600) % 24;
  const minutes = Math.floor(whole / 60) % 60;
  if (days) {
    return `${days} d ${hours} h`;
  }
  if (hours) {
    return `${hours} h ${two(minutes)} min`;
  }
  return minutes ? `${minutes} min ${two(whole % 60)} s` : `${whole} s`;
}

function count(value) {
  return value.toLocaleString("en").replaceAll(",", "\u202f");
}

// Rates.

const history = [];
let before = null;

function takeRates(overview) {
  const requests = overview.requests.reduce((sum, each) => sum + each.count, 0);
  const now = {
    uptime: overview.uptime,
    toRemote: overview.octets.toRemote,
    toClients: overview.octets.toClients,
    requests,
  };
  const elapsed = before ? now.uptime - before.uptime : 0;
  if (before && elapsed > 0) {
    const rate = (name) => Math.max(0, (now[name] - before[name]) / elapsed);
    history.push({
      toRemote: rate("toRemote"), toClients: rate("toClients"), requests: rate("requests"),
    });
    history.splice(0, history.length - POINTS);
  } else if (elapsed < 0) {
    // It has been started anew.
    history.length = 0;
  }
  before = now;
  return requests;
}

function plot(id, names) {
  const top = Math.max(1, ...history.flatMap((point) => names.map((name) => point[name])));
  for (const name of names) {
    const points = history.map((point, index) => {
      const x = WIDTH - (history.length - 1 - index) * WIDTH / (POINTS - 1);
      const y = HEIGHT - 2 - point[name] / top * (HEIGHT - 8);
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    });
    byId(id).querySelector(`.${name}`).setAttribute("points", points.join(" "));
  }
  return top;
}

function showRates() {
  const octetTop = plot("octetPlot", ["toRemote", "toClients"]);
  const requestTop = plot("requestPlot", ["requests"]);
  const latest = history.at(-1);
  if (latest) {
    show("rateToRemote", `${octets(latest.toRemote)}/s`);
    show("rateToClients", `${octets(latest.toClients)}/s`);
    show("rateRequests", `${latest.requests.toFixed(1)}/s`);
    show("octetTop", `highest: ${octets(octetTop)}/s`);
    show("requestTop", `highest: ${requestTop.toFixed(1)}/s`);
  }
}

// Tables, whose rows stay where they are, so that nobody's focus gets lost.

function fill(id, rows, columns, end) {
  const body = byId(id);
  const known = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  let place = body.firstElementChild;
  for (const item of rows) {
    const key = String(item.key);
    let row = known.get(key);
    known.delete(key);
    if (row === undefined) {
      row = makeRow(key, columns, end);
    }
    columns.forEach(({ text }, index) => setText(row.cells[index], text(item)));
    row.item = item;
    if (row === place) {
      place = place.nextElementSibling;
    } else {
      body.insertBefore(row, place);
    }
  }
  for (const row of known.values()) {
    row.remove();
  }
}

function makeRow(key, columns, end) {
  const row = document.createElement("tr");
  row.dataset.key = key;
  for (const { name, isNumber } of columns) {
    const cell = row.insertCell();
    cell.dataset.name = name;
    if (isNumber) {
      cell.className = "number";
    }
  }
  if (end) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "End";
    button.setAttribute("aria-label", `End ${end.noun} ${key}`);
    button.addEventListener("click", () => ask(end.question(row.item), `${end.path}/${key}/end`));
    row.insertCell().append(button);
  }
  return row;
}

const TUNNEL_COLUMNS = [
  { name: "Client", text: (each) => each.peer },
  { name: "User", text: (each) => each.user },
  { name: "Request", text: (each) => `${each.command} ${each.destination}` },
  { name: "Age", text: (each) => duration(each.age), isNumber: true },
  { name: "To host", text: (each) => octets(each.toRemote), isNumber: true },
  { name: "To client", text: (each) => octets(each.toClient), isNumber: true },
  { name: "Idle", text: (each) => duration(each.idle), isNumber: true },
  { name: "Way", text: (each) => (each.spliced ? "kernel" : each.relaying ? "buffers" : "–") },
];
const TUNNEL_END = {
  noun: "tunnel",
  path: "tunnels",
  question: (each) => `End the tunnel of ${each.peer} (${each.user}) to ${each.destination}?`,
};
const SESSION_COLUMNS = [
  { name: "No.", text: (each) => String(each.id), isNumber: true },
  { name: "User", text: (each) => each.user },
  { name: "Counts as", text: (each) => each.owner },
  { name: "Opened from", text: (each) => each.address },
  { name: "Trusted", text: (each) => each.trust },
  { name: "Tokens", text: (each) => (each.window === null ? "–" : count(each.window)), isNumber: true },
  { name: "Age", text: (each) => duration(each.age), isNumber: true },
  { name: "Ends in", text: (each) => duration(each.left), isNumber: true },
];
const SESSION_END = {
  noun: "session",
  path: "sessions",
  question: (each) => `End session ${each.id} of ${each.user}, opened from ${each.address}?`,
};
const REQUEST_COLUMNS = [
  { name: "Command", text: (each) => each.command },
  { name: "Result", text: (each) => each.result },
  { name: "Number", text: (each) => count(each.count), isNumber: true },
];

function note(total, listed, nothing) {
  if (!listed) {
    return nothing;
  }
  return total > listed ? `The latest ${count(listed)} of ${count(total)}` : "";
}

// Asking the proxy.

async function get(path) {
  const response = await fetch(`api/1/${path}`, { cache: "no-store" });
  if (!response.ok) {
    throw new Error(`status ${response.status}`);
  }
  return response.json();
}

async function look() {
  const wanted = encodeURIComponent(byId("filter").value.trim());
  const [overview, tunnels, sessions] = await Promise.all([
    get("overview"), get(`tunnels?limit=${ROWS}&filter=${wanted}`), get(`sessions?limit=${ROWS}`),
  ]);
  const finished = takeRates(overview);
  showRates();
  show("open", count(overview.connections.open));
  show("accepted", `${count(overview.connections.total)} in all`);
  show("tunnelCount", count(overview.tunnels));
  show("served", `${count(finished)} finished`);
  show("sessionCount", overview.sessions === null ? "–" : count(overview.sessions));
  show("uptime", duration(overview.uptime));
  show("version", `version ${overview.version}`);
  const keyed = (list) => list.map((each) => ({ ...each, key: each.id }));
  fill("tunnels", keyed(tunnels.tunnels), TUNNEL_COLUMNS, TUNNEL_END);
  show("tunnelNote", note(
    tunnels.total, tunnels.tunnels.length, wanted ? "None that match" : "None at the moment",
  ));
  fill("sessions", keyed(sessions.sessions), SESSION_COLUMNS, SESSION_END);
  show("sessionNote", sessions.listed
    ? note(sessions.total, sessions.sessions.length, "None at the moment")
    : `Sessions: ${sessions.reason}`);
  const kinds = overview.requests.map((each) => ({
    ...each, key: JSON.stringify([each.command, each.result]),
  }));
  fill("requests", kinds, REQUEST_COLUMNS, null);
  show("requestNote", kinds.length ? "" : "None so far");
}

function say(text, isBad) {
  show("status", text);
  byId("status").classList.toggle("bad", isBad);
}

let timer = null;
let isLooking = false;

async function poll() {
  clearTimeout(timer);
  if (document.hidden || isLooking) {
    return;
  }
  isLooking = true;
  const began = performance.now();
  try {
    await look();
    say("Live", false);
  } catch (error) {
    say(`The proxy does not answer (${error.message})`, true);
  }
  isLooking = false;
  if (!document.hidden) {
    timer = setTimeout(poll, Math.max(200, INTERVAL - (performance.now() - began)));
  }
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    clearTimeout(timer);
    // A gap is no rate.
    before = null;
    say("Paused", false);
  } else {
    poll();
  }
});

// Ending something.

let pending = null;

function ask(text, path) {
  pending = path;
  show("questionText", text);
  byId("question").showModal();
}

byId("no").addEventListener("click", () => byId("question").close());
byId("yes").addEventListener("click", async () => {
  byId("question").close();
  try {
    const response = await fetch(`api/1/${pending}`, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: "{}",
    });
    if (!response.ok) {
      say((await response.json()).error, true);
    }
  } catch (error) {
    say(`The proxy does not answer (${error.message})`, true);
  }
  poll();
});
byId("filter").addEventListener("input", poll);

poll();
