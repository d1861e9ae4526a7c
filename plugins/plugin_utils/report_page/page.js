// Copyright: (c) 2026, coldchain.freezer contributors
// SPDX-License-Identifier: GPL-3.0-or-later
"use strict";
// What hosts have said becomes text and attributes, never markup: there is no innerHTML in here.
const data = JSON.parse(document.getElementById("data").textContent);
const DAY = 86400, ROWS = 50;
const SVG = "http://www.w3.org/2000/svg";
const WORDS = {s: "success", f: "failed", a: "aborted", m: "partly failed"};
const TONES = {protected: "good", ok: "good", running: "good", success: "good", stopped: "doubtful",
  incomplete: "doubtful", warning: "doubtful", info: ""};
const SIGNS = {good: "\u2713 ", bad: "\u2717 ", doubtful: "! ", "": ""};
const KINDS = {lock_wait: "waits for another job with the same lock", limit_wait: "waits for a free place",
  overlap: "is still running when it is due again, and loses that run", late: "would begin too late",
  blacked_out: "loses a run to a blackout", into_blackout: "goes on into a blackout"};

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "click") element.addEventListener("click", value);
    else if (value !== null && value !== undefined && value !== "") element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function draw(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function objects(table) {
  return table.rows.map((row) => Object.fromEntries(table.columns.map((name, at) => [name, row[at]])));
}

// -- numbers for people ---------------------------------------------------------------------------

let zone = "UTC", clock = null;
function setZone(name) {
  zone = name;
  const form = {year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit",
    hour12: false, timeZone: name};
  clock = new Intl.DateTimeFormat("sv-SE", form);
}
const when = (seconds) => seconds === null ? "never" : clock.format(seconds * 1000);
const dayName = (day) => new Date(day * DAY * 1000).toISOString().slice(0, 10);

function bytes(number) {
  let unit = 0;
  while (number >= 1000 && unit < 5) { number /= 1000; unit += 1; }
  return `${unit && number < 100 ? number.toFixed(1) : Math.round(number)} ${["B", "kB", "MB", "GB", "TB", "PB"][unit]}`;
}

function duration(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 2 * DAY) return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds % 3600 / 60)} min`;
  return `${Math.floor(seconds / DAY)} d`;
}

const ago = (seconds) => seconds === null ? "never" : `${duration(Math.max(0, data.time - seconds))} ago`;
const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

function moment(seconds, withAge = true) {
  if (seconds === null) return "never";
  const age = seconds > data.time ? "" : `, ${ago(seconds)}`;
  return make("span", {class: "time", "data-at": seconds}, when(seconds), withAge ? age : "");
}

function badge(state) {
  const tone = state in TONES ? TONES[state] : "bad";
  return make("span", {class: `state ${tone}`}, SIGNS[tone] + state);
}

// -- what is in the file --------------------------------------------------------------------------

const unpack = (text, digits = 2, steps = 28) => {
  const values = [];
  for (let at = 0; at < text.length; at += digits) {
    const number = parseInt(text.slice(at, at + digits), 36);
    values.push(number ? 2 ** ((number - 1) / steps) : 0);
  }
  return values;
};
const spread = (steps) => { let at = 0; return steps.map((step) => at += step); };

const hosts = objects(data.hosts), jobs = objects(data.jobs), series = objects(data.series);
hosts.forEach((host, index) => { host.index = index; host.jobs = []; host.series = []; });
for (const job of jobs) { hosts[job.host].jobs.push(job); job.of = hosts[job.host]; }
for (const one of series) { hosts[one.host].series.push(one); one.of = hosts[one.host]; }
const needy = (job) => !["ok", "running", "stopped"].includes(job.state);
for (const host of hosts) {
  host.good = host.jobs.filter((job) => !needy(job)).length;
  host.newest = host.series.reduce((most, one) => Math.max(most, one.newest || 0), 0) || null;
  host.need = host.problems.map((problem) => problem.slice(0, 2).join(": ").replace(/^host: /, ""));
  host.words = [host.name, host.state, ...host.need].join(" ").toLowerCase();
}
// Without taking the numbers out: a large fleet has half a million of them.
const notGood = (job) => [job.daily?.[0] ?? "", job.recent?.[1] ?? ""].join("").replace(/[s.]/g, "").length;
for (const job of jobs) job.words = [job.of.name, job.job_id, job.state, job.reason].join(" ").toLowerCase();
for (const one of series)
  one.words = [one.of.name, one.job_id, one.backup_name, one.container].join(" ").toLowerCase();

// Each run that is known singly, and the days before: {at, seconds, result, bytes, day: true for a whole day}.
function runsOf(job) {
  const made = [];
  if (job.daily) {
    const lengths = unpack(job.daily[1]), sizes = unpack(job.daily[2]);
    [...job.daily[0]].forEach((result, day) => {
      if (result !== ".")
        made.push({at: (data.first_day + day) * DAY, seconds: lengths[day], result, bytes: sizes[day], day: true});
    });
  }
  if (job.recent && !(job.daily && job.daily[0].length > data.days - 1)) made.push(...singly(job));
  return made;
}

function singly(job) {
  if (!job.recent) return [];
  const [steps, results, lengths, sizes] = job.recent, stored = unpack(sizes, 3, 1000);
  return spread(steps).map((at, run) =>
    ({at, seconds: lengths[run], result: results[run], bytes: stored[run], day: false}));
}

// -- pictures -------------------------------------------------------------------------------------

function timeline(job) {
  const runs = runsOf(job), wide = 4, height = 18;
  const paths = {s: "", f: "", a: "", m: ""}, counts = {s: 0, f: 0, a: 0, m: 0};
  for (const run of runs) {
    const x = run.day ? (run.at / DAY - data.first_day) * wide : (run.at / DAY - data.first_day) * wide;
    const tall = run.result === "s" ? 10 : height;  // not told by colour alone
    paths[run.result] += `M${x.toFixed(1)} ${height - tall}h${run.day ? wide - 1 : 1.6}v${tall}h${run.day ? 1 - wide : -1.6}z`;
    counts[run.result] += 1;
  }
  const bad = counts.f + counts.a + counts.m, last = runs.findLast((run) => run.result !== "s");
  const told = runs.length === 0 ? "no run"
    : `${count(runs.length, "run or day")} with runs, ${bad} not good${last ? `, the last on ${dayName(Math.floor(last.at / DAY))}` : ""}`;
  const width = data.days * wide;
  const picture = draw("svg", {viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": told});
  picture.append(draw("path", {class: "axis", d: `M0 ${height - .5}h${width}`}));
  for (const [result, d] of Object.entries(paths)) if (d) picture.append(draw("path", {class: `run-${result}`, d}));
  return picture;
}

function curve(title, runs, value, shown) {
  const points = runs.filter((run) => value(run) > 0), width = 420, height = 120, left = 62;
  if (!points.length) return make("p", {class: "quiet"}, `${title}: none on record`);
  const most = Math.max(...points.map(value)), least = Math.min(...points.map(value));
  const begin = data.first_day * DAY, span = data.days * DAY;
  const x = (run) => left + (run.at - begin) / span * (width - left - 6);
  const y = (run) => height - 18 - value(run) / most * (height - 30);
  const told = `${title}: from ${shown(least)} to ${shown(most)}, the newest ${shown(value(points.at(-1)))}`;
  const picture = draw("svg", {viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": told});
  const label = (px, py, text, anchor) => picture.append(draw("text", {x: px, y: py, "text-anchor": anchor}, text));
  picture.append(draw("path", {class: "axis", d: `M${left} 6V${height - 18}H${width - 6}`}));
  picture.append(draw("path", {class: "curve",
    d: points.map((run, at) => `${at ? "L" : "M"}${x(run).toFixed(1)} ${y(run).toFixed(1)}`).join("")}));
  for (const run of points)
    picture.append(draw("circle", {class: "dot", cx: x(run).toFixed(1), cy: y(run).toFixed(1), r: 1.8}));
  label(left - 4, 14, shown(most), "end");
  label(left - 4, height - 18, "0", "end");
  label(left, height - 4, dayName(data.first_day), "start");
  label(width - 6, height - 4, dayName(data.first_day + data.days - 1), "end");
  return make("figure", {class: "chart"}, make("figcaption", {}, title), picture);
}

function fleetBars() {
  const daily = data.fleet.daily, days = daily.success.length, width = 900, height = 120, left = 50;
  const totals = daily.success.map((good, day) => good + daily.fail[day] + daily.aborted[day]);
  const most = Math.max(1, ...totals), wide = (width - left) / days;
  const bad = daily.fail.map((number, day) => number + daily.aborted[day]);
  const all = totals.reduce((sum, number) => sum + number, 0), failed = bad.reduce((sum, number) => sum + number, 0);
  const told = `${count(all, "run")} in ${count(days, "day")}, ${failed} of them failed or were aborted`;
  const picture = draw("svg", {viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": told});
  const tall = (number) => number / most * (height - 30);
  const bars = (numbers, over) => numbers.map((number, day) => number
    ? `M${(left + day * wide).toFixed(1)} ${(height - 18 - tall(number + over[day])).toFixed(1)}h${Math.max(wide - 1, 1).toFixed(1)}v${tall(number).toFixed(1)}h${(-Math.max(wide - 1, 1)).toFixed(1)}z` : "").join("");
  picture.append(draw("path", {class: "axis", d: `M${left} 6V${height - 18}H${width}`}));
  picture.append(draw("path", {class: "bar-success", d: bars(daily.success, bad)}));
  picture.append(draw("path", {class: "bar-fail", d: bars(bad, bad.map(() => 0))}));
  for (const [x, y, text, anchor] of [[left - 4, 14, String(most), "end"], [left - 4, height - 18, "0", "end"],
    [left, height - 4, dayName(data.first_day), "start"], [width, height - 4, dayName(data.first_day + days - 1), "end"]])
    picture.append(draw("text", {x, y, "text-anchor": anchor}, text));
  const rows = totals.map((total, day) => make("tr", {}, make("th", {scope: "row"}, dayName(data.first_day + day)),
    make("td", {class: "number"}, String(total)), make("td", {class: "number"}, String(bad[day])),
    make("td", {class: "number"}, bytes(daily.bytes[day])))).reverse();
  return [make("h3", {}, "Runs a day"), make("p", {}, `${told}.`), picture,
    make("details", {}, make("summary", {}, "The same as a table"), region("Runs a day as a table",
      plain(["Day (UTC)", "Runs", "Not good", "Stored"], rows, [1, 2, 3])))];
}

// -- tables ---------------------------------------------------------------------------------------

const region = (label, ...children) => make("div", {class: "scroll", role: "region", tabindex: "0", "aria-label": label}, ...children);

function plain(heads, rows, numbers = []) {
  return make("table", {}, make("thead", {}, make("tr", {}, ...heads.map((head, at) =>
    make("th", {scope: "col", class: numbers.includes(at) ? "number" : ""}, head)))), make("tbody", {}, ...rows));
}

const tables = [];

// columns: {head, key: row -> what it is sorted by, cell: row -> text or element, number}; opened: row -> its details.
class SortedTable {
  constructor(name, rows, columns, opened, sort = [0, 1]) {
    Object.assign(this, {name, rows, columns, opened, sort, limit: ROWS, open: new Set()});
    this.body = make("tbody", {});
    this.heads = columns.map((column, at) => make("th", {scope: "col", class: column.number ? "number" : ""},
      make("button", {type: "button", click: () => this.sortBy(at)}, column.head)));
    this.more = make("button", {type: "button", class: "more", click: () => { this.limit += 5 * ROWS; this.show(); }});
    const table = make("table", {id: `table-${tables.length}`}, make("thead", {}, make("tr", {}, ...this.heads)), this.body);
    this.element = make("div", {}, region(name, table), this.more);
    tables.push(this);
  }

  sortBy(at) {
    this.sort = [at, this.sort[0] === at ? -this.sort[1] : 1];
    this.show();
  }

  show() {
    const [at, way] = this.sort, key = this.columns[at].key;
    const keyed = this.rows.filter((row) => visible(row)).map((row, place) => [key(row), place, row]);
    // What is not known comes last, either way.
    keyed.sort((one, other) => {
      const [a, b] = [one[0], other[0]];
      if (a === b) return one[1] - other[1];
      if (a === null || b === null) return a === null ? 1 : -1;
      return (a < b ? -1 : 1) * way;
    });
    this.found = keyed.length;
    this.heads.forEach((head, place) => place === at
      ? head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending") : head.removeAttribute("aria-sort"));
    this.body.replaceChildren(...keyed.slice(0, this.limit).flatMap(([, , row]) => this.line(row)));
    if (!keyed.length)
      this.body.append(make("tr", {}, make("td", {colspan: this.columns.length, class: "quiet"}, "nothing is shown")));
    this.more.textContent = `Show more of ${keyed.length}`;
    this.more.hidden = keyed.length <= this.limit;
  }

  line(row) {
    const cells = this.columns.map((column, at) => {
      const content = column.cell(row), plainClass = column.number ? "number" : column.css;
      if (at > 0) return make("td", {class: plainClass}, content);
      if (!this.opened) return make("th", {scope: "row"}, content);
      const button = make("button", {type: "button", class: "opens", "aria-expanded": String(this.open.has(row)),
        click: () => {
          if (!this.open.delete(row)) { this.open.add(row); line.after(this.detail(row)); } else line.nextSibling.remove();
          button.setAttribute("aria-expanded", String(this.open.has(row)));
        }}, content);
      return make("th", {scope: "row"}, button);
    });
    const line = make("tr", {}, ...cells);
    return this.open.has(row) ? [line, this.detail(row)] : [line];
  }

  detail(row) {
    return make("tr", {class: "detail"}, make("td", {colspan: this.columns.length}, ...this.opened(row)));
  }
}

// -- which rows are shown -------------------------------------------------------------------------

const find = document.getElementById("find"), state = document.getElementById("state");
const zones = document.getElementById("zone"), shown = document.getElementById("shown");
let wanted = [];

function visible(row) {
  const host = row.of || row;
  if (state.value === "need" ? host.state === "protected" : state.value && host.state !== state.value) return false;
  return wanted.every((word) => row.words.includes(word));
}

function refresh() {
  wanted = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const table of tables) table.show();
  const [first, second] = tables;
  shown.textContent = `${first.found} of ${count(hosts.length, "host")}, ${second.found} of ${count(jobs.length, "job")}`;
}

// -- sections -------------------------------------------------------------------------------------

const main = document.getElementById("main"), sections = document.getElementById("sections");

function section(id, title, ...children) {
  const heading = make("h2", {id, tabindex: "-1"}, title);
  main.append(make("section", {"aria-labelledby": id}, heading, ...children));
  sections.append(make("li", {}, make("a", {href: `#${id}`}, title)));
}

const listed = (items) => make("ul", {}, ...items.map((item) => make("li", {}, ...[item].flat())));

function problems(list) {
  return listed(list.map(([about, text, remedy]) =>
    [`${about}: ${text}`, ...(remedy ? [make("br"), "\u2192 ", make("code", {}, remedy)] : [])]));
}

function known(last) {
  const jobs = (last.jobs || []).map(([name, condition, success]) => `job ${name}: ${condition}, last success ${when(success ?? null)}`);
  const backups = (last.series || []).map(([name, points, newest, verified]) =>
    `backup ${name}: ${count(points ?? 0, "point")} that can be restored, the newest ${when(newest ?? null)}, verified ${when(verified ?? null)}`);
  return [make("p", {}, "It last answered ", moment(last.time), `, and was: ${last.state}.`), listed([...jobs, ...backups])];
}

function hostDetail(host) {
  const parts = [];
  if (host.problems.length) parts.push(make("h3", {}, "What needs somebody"), problems(host.problems));
  if (host.last_known) parts.push(make("h3", {}, "What was known last"), ...known(host.last_known));
  else if (host.time === null) parts.push(make("p", {class: "quiet"}, "No report before this one knew it."));
  if (host.notes.length)
    parts.push(make("h3", {}, "Worth knowing"), problems(host.notes.map(([severity, about, ...rest]) => [`${severity}: ${about}`, ...rest])));
  const things = uncovered.filter((thing) => thing.hosts.includes(host.index));
  if (things.length)
    parts.push(make("h3", {}, "In no backup"), listed(things.map((thing) => `${thing.what}: ${thing.why}`)));
  const facts = [];
  if (host.runner) facts.push(`runner ${host.runner}${host.since === null ? "" : ` at work since ${when(host.since)}`}`);
  if (host.client_id && host.client_id !== host.name) facts.push(`${host.client_id} in job documents`);
  if (host.entries !== null) facts.push(`ledger with ${count(host.entries, "entr").replace(/entrs$/, "entries").replace(/entr$/, "entry")}, head ${host.head.slice(0, 16)}`);
  if (facts.length) parts.push(make("h3", {}, "The host"), listed(facts));
  if (host.jobs.length)
    parts.push(make("button", {type: "button", class: "more", click: () => {
      find.value = host.name; state.value = ""; refresh(); document.getElementById("jobs").focus();
    }}, `Show its ${count(host.jobs.length, "job")}`));
  return parts;
}

function jobDetail(job) {
  const runs = runsOf(job), single = singly(job).reverse(), parts = [];
  if (job.reason) parts.push(make("p", {class: needy(job) ? "bad" : ""}, job.reason));
  if (job.schedule) parts.push(make("p", {}, `Runs ${job.schedule}.`));
  parts.push(make("div", {class: "charts"}, curve("Stored by a run", runs, (run) => run.bytes, bytes),
    curve("How long a run took", runs, (run) => run.seconds, duration)));
  if (job.coming) {
    const times = spread(job.coming);
    parts.push(make("h3", {}, `The next ${count(times.length, "run")}`),
      make("p", {}, times.slice(0, 14).map(when).join(", ") + (times.length > 14 ? " ..." : "")));
  } else if (job.often) parts.push(make("p", {}, "It runs too often for a list of its runs."));
  if (single.length)
    parts.push(make("h3", {}, "Its runs, the newest first"), region("Its runs", plain(["Began", "Result", "Took", "Stored"],
      single.map((run) => make("tr", {}, make("th", {scope: "row"}, when(run.at)),
        make("td", {class: run.result === "s" ? "good" : "bad"}, WORDS[run.result]),
        make("td", {class: "number"}, duration(run.seconds)), make("td", {class: "number"}, run.bytes ? bytes(run.bytes) : ""))), [2, 3])));
  return parts;
}

const uncovered = objects(data.uncovered);

function glance() {
  const tile = (name, large, ...rest) => make("div", {}, make("dt", {}, name), make("dd", {class: "large"}, large),
    ...rest.map((line) => make("dd", {}, ...[line].flat())));
  const states = (counts) => Object.entries(counts).map(([name, number]) => [`${number} `, badge(name)]);
  const points = series.reduce((sum, one) => sum + one.restorable, 0), size = series.reduce((sum, one) => sum + one.bytes, 0);
  const lost = series.filter((one) => one.restorable === 0).length, checked = series.filter((one) => one.verified !== null);
  const month = checked.filter((one) => data.time - one.verified < 31 * DAY).length;
  const peak = data.coming.peak;
  const tiles = make("dl", {class: "tiles"},
    tile("Hosts", String(hosts.length), ...states(data.fleet.hosts)),
    tile("Jobs", String(jobs.length), ...states(data.fleet.jobs)),
    tile("Points in time that can be restored", String(points), `${bytes(size)} in ${count(series.length, "backup")}`,
      lost ? make("span", {class: "bad"}, `${count(lost, "backup")} without any`) : "every backup has one"),
    tile("Verified in the last 31 days", `${month} of ${series.length}`, `${series.length - checked.length} never`),
    tile("Next 7 days", count(data.coming.hours.reduce((sum, number) => sum + number, 0), "run"),
      peak.at === null ? "" : [`at most ${peak.runs} at once, first `, moment(peak.at)],
      count(data.coming.clock_changes.rows.length, "clock change")),
    tile("In no backup", count(uncovered.reduce((sum, thing) => sum + thing.hosts.length, 0), "thing")));
  const altered = hosts.filter((host) => host.altered);
  const alarm = altered.length ? [make("h3", {class: "bad"}, "Ledgers that were altered"),
    problems(altered.map((host) => [host.name, `${host.altered[1]}, seen ${when(host.altered[0])}`, ""]))] : [];
  section("glance", "At a glance", ...alarm, tiles, ...fleetBars(),
    data.fleet.unread_runs ? make("p", {class: "doubtful"}, `${count(data.fleet.unread_runs, "run")} could not be read.`) : null);
}

function byNeed() {
  const table = new SortedTable("Hosts by need", hosts, [
    {head: "Host", key: (host) => host.name, cell: (host) => host.name},
    {head: "State", key: (host) => host.index, cell: (host) => badge(host.state)},
    {head: "Jobs", number: true, key: (host) => host.jobs.length ? host.good / host.jobs.length : null,
      cell: (host) => host.time === null ? "-" : `${host.good}/${host.jobs.length}`},
    {head: "Newest point", key: (host) => host.newest, cell: (host) => moment(host.newest)},
    {head: "What needs somebody", key: (host) => -host.need.length,
      cell: (host) => host.need.length ? host.need[0] + (host.need.length > 1 ? ` (and ${host.need.length - 1} more)` : "") : ""},
  ], hostDetail, [1, 1]);
  section("hosts", "Hosts by need", table.element);
}

function timelines() {
  const table = new SortedTable("Jobs and their runs", jobs, [
    {head: "Job", key: (job) => job.job_id, cell: (job) => job.job_id},
    {head: "Host", key: (job) => job.of.name, cell: (job) => job.of.name},
    {head: "State", key: (job) => (needy(job) ? "0" : "1") + job.state, cell: (job) => badge(job.state)},
    {head: "Last success", key: (job) => job.last_success, cell: (job) => moment(job.last_success)},
    {head: "Next run", key: (job) => job.next_run, cell: (job) => job.next_run === null ? "" : moment(job.next_run, false)},
    {head: `Runs of ${data.days} days`, key: (job) => -notGood(job), cell: timeline},
  ], jobDetail, [2, 1]);
  section("jobs", "Jobs and their runs", make("p", {class: "quiet"},
    "A bar is a run, and a day before the last 14 days; those that were not good are taller. A job opens with its sizes and durations."),
    table.element);
}

function points() {
  const table = new SortedTable("Points in time", series, [
    {head: "Backup", key: (one) => one.backup_name, cell: (one) => one.backup_name},
    {head: "Host", key: (one) => one.of.name, cell: (one) => one.of.name},
    {head: "Where", key: (one) => `${one.storage} ${one.container}`,
      cell: (one) => `${one.storage === "local" ? "" : `${one.storage} `}${one.container}`},
    {head: "Points", number: true, key: (one) => one.restorable, cell: (one) => one.error ? "not known"
      : one.restorable === one.points ? String(one.points) : `${one.restorable} of ${one.points}`},
    {head: "Oldest", key: (one) => one.oldest, cell: (one) => moment(one.oldest, false)},
    {head: "Newest", key: (one) => one.newest, cell: (one) => moment(one.newest)},
    {head: "Verified", key: (one) => one.verified ?? 0, cell: (one) => moment(one.verified)},
    {head: "Size", number: true, key: (one) => one.bytes, cell: (one) => bytes(one.bytes)},
  ], null, [5, 1]);
  section("points", "Points in time", table.element);
}

function sessionTable() {
  const rows = objects(data.sessions);
  if (!rows.length) return;
  const name = ([host, job, letter]) => `${hosts[host].name} ${job}: ${WORDS[letter]}`;
  section("sessions", "Sessions", make("p", {class: "quiet"}, "Runs of one session with the same tag on all hosts that have answered."),
    region("Sessions", plain(["Session", "Began", "Result", "Hosts", "Runs", "What was not good"], rows.map((row) => make("tr", {},
      make("th", {scope: "row"}, row.session_id), make("td", {}, moment(row.session_tag, false)), make("td", {}, badge(row.result)),
      make("td", {class: "number"}, String(row.hosts)), make("td", {class: "number"}, String(row.runs)),
      make("td", {}, [...row.others.map(name), ...(row.missing ? [`${count(row.missing, "job")} did not take part`] : [])].join("; ")))), [3, 4])));
}

let hourTable = null;
function hours() {
  const begin = data.coming.begin, most = Math.max(1, ...data.coming.hours), days = new Map();
  data.coming.hours.forEach((number, at) => {
    const [day, time] = when(begin + at * 3600).split(" "), hour = Number(time.slice(0, 2));
    if (!days.has(day)) days.set(day, Array(24).fill(null));
    days.get(day)[hour] = (days.get(day)[hour] ?? 0) + number;
  });
  const rows = [...days].map(([day, numbers]) => make("tr", {}, make("th", {scope: "row"}, day), ...numbers.map((number) =>
    make("td", {class: number ? `heat${Math.ceil(number / most * 4)}` : ""}, number ? String(number) : ""))));
  const table = plain(["Day", ...Array.from({length: 24}, (_, hour) => String(hour).padStart(2, "0"))], rows);
  table.className = "hours";
  table.prepend(make("caption", {}, `Runs that begin in each hour, times in ${zone}`));
  const fresh = region("Runs that begin in each hour", table);
  if (hourTable) hourTable.replaceWith(fresh);
  hourTable = fresh;
  return fresh;
}

function coming() {
  const changes = objects(data.coming.clock_changes), meetings = objects(data.coming.collisions), shared = objects(data.coming.shared);
  const parts = [hours(), make("h3", {}, "Clock changes")];
  parts.push(changes.length ? listed(changes.map((row) => [`${row.zone}: `, moment(row.at, false),
    `, ${row.seconds > 0 ? "forward" : "back"} by ${duration(Math.abs(row.seconds))}; ${count(row.runs, "run")} on that day on ${count(row.hosts, "host")}`]))
    : make("p", {}, "None that a job would notice."));
  parts.push(make("h3", {}, "Collisions"));
  if (!meetings.length && !shared.length) parts.push(make("p", {}, "No job has to wait, and none loses a run."));
  if (meetings.length)
    parts.push(region("Collisions", plain(["Host", "Job", "What happens", "First"], meetings.map((row) => make("tr", {},
      make("th", {scope: "row"}, hosts[row.host].name), make("td", {}, row.job_id), make("td", {}, KINDS[row.kind] ?? row.kind),
      make("td", {}, moment(row.at, false)))))));
  if (shared.length)
    parts.push(listed(shared.map((row) => [`${row.storage} ${row.container}: at most ${row.at_once} runs of ${count(row.hosts, "host")} at once, first `, moment(row.at, false)])));
  section("coming", "Next 7 days", ...parts);
}

function notCovered() {
  if (!uncovered.length) return;
  const names = (thing) => {
    const all = thing.hosts.map((index) => hosts[index].name);
    if (all.length <= 5) return [all.join(", ")];
    return [make("details", {}, make("summary", {}, `${all.slice(0, 3).join(", ")} and ${all.length - 3} more`), all.slice(3).join(", "))];
  };
  section("uncovered", "In no backup", region("In no backup", plain(["What", "Why", "Hosts", "Which"], uncovered.map((thing) =>
    make("tr", {}, make("th", {scope: "row"}, thing.what), make("td", {}, thing.why), make("td", {class: "number"}, String(thing.hosts.length)),
      make("td", {}, ...names(thing)))), [2])));
}

function away() {
  const silent = hosts.filter((host) => host.time === null && host.state !== "protected");
  if (!silent.length && !data.not_asked.length) return;
  const entries = silent.map((host) => [make("h3", {}, `${host.name}: ${host.state}`), make("p", {}, host.need.join("; ")),
    ...(host.last_known ? known(host.last_known) : [make("p", {class: "quiet"}, "No report before this one knew it.")])]);
  const others = data.not_asked.map((host) => [make("h3", {}, `${host.name}: not asked this time`), ...known(host.last_known)]);
  section("away", "Hosts that did not answer", ...entries.flat(), ...others.flat());
}

function show() {
  main.replaceChildren();
  sections.replaceChildren();
  tables.length = 0;
  document.getElementById("made").textContent = `${when(data.time)} (${zone})`;
  for (const part of [glance, byNeed, timelines, points, sessionTable, coming, notCovered, away]) part();
  refresh();
}

for (const name of Object.keys(data.fleet.hosts)) state.append(make("option", {value: name}, `${name} only`));
setZone("UTC");
const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (here && here !== "UTC") zones.append(make("option", {value: here}, `in ${here}`));
find.addEventListener("input", refresh);
state.addEventListener("change", refresh);
zones.addEventListener("change", () => { setZone(zones.value); hourTable = null; show(); });
document.getElementById("controls").addEventListener("submit", (event) => event.preventDefault());
document.getElementById("reset").addEventListener("click", () => { find.value = ""; state.value = ""; refresh(); find.focus(); });
show();
