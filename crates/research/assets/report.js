// Draws, sorts and pages. Every figure that is shown comes as a text from the page's data.
(() => {
  "use strict";
  const D = JSON.parse(document.getElementById("page-data").textContent);
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // ---- Time axis without pauses: seconds of activity, with a small fixed gap for each pause.
  const segments = D.segments.map(([a, b, offset]) => ({ a: a / 1000, b: b / 1000, offset }));
  const active = segments.reduce((sum, s) => sum + s.b - s.a, 0);
  const gap = active > 0 ? Math.max(active / Math.max(segments.length, 1) * 0.03, 1) : 1;
  segments.reduce((x, s) => (s.x = x) + (s.b - s.a) + gap, 0);
  const find = (key, value) => {
    let low = 0, high = segments.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (segments[middle][key] <= value) low = middle; else high = middle - 1;
    }
    return segments[low];
  };
  const isLast = s => s === segments[segments.length - 1];
  const toX = t => {
    if (!segments.length) return t;
    const s = find("a", t);
    return s.x + (isLast(s) ? t - s.a : Math.min(t - s.a, s.b - s.a + gap * 0.9));
  };
  const toLocal = x => {
    if (!segments.length) return x;
    const s = find("x", x);
    return s.a + s.offset + (isLast(s) ? x - s.x : Math.min(x - s.x, s.b - s.a));
  };
  const two = n => String(n).padStart(2, "0");
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const parts = local => {
    const d = new Date(local * 1000);
    return {
      date: `${d.getUTCDate()} ${MONTHS[d.getUTCMonth()]}`, year: d.getUTCFullYear(),
      time: `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}`, seconds: two(d.getUTCSeconds()),
    };
  };
  const stamp = x => {
    const p = parts(toLocal(x));
    return `${p.date} ${p.year} ${p.time}:${p.seconds}`;
  };

  const STEPS = [1, 5, 15, 30, 60, 300, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800, 2592000, 7776000, 31536000];
  function ticks(u, _axis, min, max) {
    const width = u.bbox.width / devicePixelRatio;
    const room = (max - min) / Math.max(width / 90, 1);
    const step = STEPS.find(s => s >= room) || room;
    const shown = segments.filter(s => s.x <= max && s.x + s.b - s.a >= min);
    const longest = shown.reduce((m, s) => Math.max(m, s.b - s.a), 0);
    const found = [];
    let next = -Infinity;
    const add = x => { if (x >= min && x <= max && x >= next) { found.push(x); next = x + room * 0.9; } };
    if (!segments.length || step > longest * 0.7) {
      for (const s of shown) add(Math.max(s.x, min));
    } else {
      for (const s of shown) {
        const from = Math.ceil((Math.max(s.a, s.a + min - s.x) + s.offset) / step) * step;
        const to = Math.min(s.b, s.a + max - s.x) + s.offset;
        for (let local = from; local <= to; local += step) add(s.x + local - s.offset - s.a);
      }
    }
    u.coarse = step >= 86400 || step > longest * 0.7;
    return found;
  }
  function tickLabels(u, splits) {
    let date = "", year = 0;
    return splits.map(x => {
      const p = parts(toLocal(x));
      const first = p.date !== date || p.year !== year;
      const newYear = p.year !== year;
      date = p.date; year = p.year;
      if (u.coarse) return newYear ? `${p.date}\n${p.year}` : p.date;
      return first ? `${p.time}\n${p.date}` : p.time;
    });
  }

  // ---- Charts
  const cumulate = deltas => { let t = 0; return deltas.map(d => toX((t += d) / 1000)); };
  const charts = [];
  const axisFont = "12px system-ui, sans-serif";
  function axes(format, size) {
    const shared = { stroke: css("--soft"), font: axisFont, grid: { stroke: css("--grid"), width: 1 }, ticks: { stroke: css("--grid"), width: 1 } };
    return [
      { ...shared, splits: ticks, values: tickLabels, size: 44 },
      { ...shared, values: format, size, space: 34 },
    ];
  }
  // Labels of the value axis are positions on the picture, not figures of the result.
  const compact = currency => {
    const locale = currency === "INR" ? "en-IN" : "en";
    return (_u, splits) => {
      const step = splits.length > 1 ? Math.abs(splits[1] - splits[0]) : 1;
      const digits = step >= 1 ? 0 : Math.min(8, Math.ceil(-Math.log10(step)));
      const f = new Intl.NumberFormat(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits });
      return splits.map(v => f.format(v));
    };
  };
  // Wide enough for the longest label that the data can lead to.
  const ruler = document.createElement("canvas").getContext("2d");
  function labelWidth(currency, ...series) {
    let longest = 46;
    ruler.font = axisFont;
    for (const values of series) {
      let low = Infinity, high = -Infinity;
      for (const v of values) { if (v < low) low = v; if (v > high) high = v; }
      const digits = Math.min(8, Math.max(0, Math.ceil(1 - Math.log10(Math.max(high - low, 1e-8)))));
      const f = new Intl.NumberFormat(currency === "INR" ? "en-IN" : "en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
      for (const v of [low, high]) longest = Math.max(longest, ruler.measureText(f.format(v * 1.02)).width + 22);
    }
    return Math.ceil(longest);
  }
  function separators(u) {
    const { min, max } = u.scales.x;
    const shown = segments.filter(s => s.x > min && s.x < max);
    if (shown.length > 60) return;
    const { ctx, bbox } = u;
    ctx.save();
    ctx.strokeStyle = css("--line"); ctx.lineWidth = devicePixelRatio; ctx.setLineDash([4, 4]);
    for (const s of shown) {
      const x = Math.round(u.valToPos(s.x - gap / 2, "x", true));
      ctx.beginPath(); ctx.moveTo(x, bbox.top); ctx.lineTo(x, bbox.top + bbox.height); ctx.stroke();
    }
    ctx.restore();
  }
  function plot(element, height, size, series, data, currency, group, hooks = {}) {
    element.replaceChildren();
    const width = element.clientWidth;
    const [xAxis, yAxis] = axes(compact(currency), size);
    const u = new uPlot({
      width, height, padding: [10, 8, 0, 0], legend: { show: false },
      scales: { x: { time: false }, ...hooks.scales }, axes: [xAxis, yAxis],
      cursor: { sync: { key: group.key }, drag: { x: true, y: false }, points: { size: 6 } },
      series: [{}, series],
      hooks: {
        drawClear: [separators],
        draw: hooks.draw ? [hooks.draw] : [],
        setCursor: [u => group.readout(u)],
        setScale: [(u, scale) => { if (scale === "x") group.follow(u); }],
      },
    }, data, element);
    group.plots.push(u);
    return u;
  }
  function group(root, key, redraw, readout) {
    const output = $(".readout", root);
    const g = {
      key, plots: [], busy: false, range: null,
      readout(u) { readout(u, output); },
      follow(u) {
        if (g.busy) return;
        g.busy = true;
        const { min, max } = u.scales.x;
        g.range = min <= g.full[0] && max >= g.full[1] ? null : [min, max];
        for (const other of g.plots) if (other !== u) other.setScale("x", { min, max });
        g.busy = false;
      },
      set(min, max) {
        const [low, high] = g.full;
        const span = Math.min(Math.max(max - min, (high - low) / 5000, 1), high - low);
        min = Math.max(low, Math.min(min, high - span));
        if (g.plots[0]) g.plots[0].setScale("x", { min, max: min + span });
      },
      zoom(what) {
        const u = g.plots[0];
        if (!u) return;
        const { min, max } = u.scales.x, span = max - min, middle = (min + max) / 2;
        if (what === "in") g.set(middle - span / 4, middle + span / 4);
        if (what === "out") g.set(middle - span, middle + span);
        if (what === "left") g.set(min - span / 4, max - span / 4);
        if (what === "right") g.set(min + span / 4, max + span / 4);
        if (what === "all") g.set(...g.full);
      },
      draw(keep) {
        const range = keep && g.range;
        g.plots.forEach(u => u.destroy());
        g.plots = [];
        redraw(g);
        if (range) g.set(...range);
      },
    };
    for (const button of $$("[data-zoom]", root)) button.addEventListener("click", () => g.zoom(button.dataset.zoom));
    const keys = { ArrowLeft: "left", ArrowRight: "right", "+": "in", "=": "in", "-": "out", "0": "all", Escape: "all" };
    for (const element of $$(".plot", root)) {
      element.addEventListener("keydown", event => {
        if (keys[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); g.zoom(keys[event.key]); }
      });
    }
    charts.push(g);
    return g;
  }
  const options = (select, names) => select.replaceChildren(...names.map((name, i) => new Option(name, i)));
  const show = (output, pairs) => {
    output.replaceChildren();
    for (const [name, text, kind] of pairs) {
      if (output.childNodes.length) output.append(" · ");
      if (name) output.append(name + " ");
      const b = document.createElement("b");
      b.textContent = text;
      if (kind) b.className = kind;
      output.append(b);
    }
  };
  const bounds = x => (x.length > 1 && x[x.length - 1] > x[0] ? [x[0], x[x.length - 1]] : [(x[0] || 0) - 1, (x[0] || 0) + 1]);

  const equityRoot = $('[data-chart="equity"]');
  if (equityRoot && D.equity.length) {
    const pick = $("[data-pick]", equityRoot);
    options(pick, D.equity.map(c => c.label));
    pick.parentElement.hidden = D.equity.length < 2;
    if (D.equity.length < 2) pick.parentElement.style.display = "none";
    for (const c of D.equity) c.x = cumulate(c.t);
    const current = () => D.equity[pick.value | 0];
    const tell = (c, i, output) => show(output, [
      ["", stamp(c.x[i])], ["equity", `${c.s[i]} ${c.currency}`], ["from peak", c.ds[i], c.dv[i] < 0 ? "neg" : ""],
    ]);
    const g = group(equityRoot, "equity", g => {
      const c = current(), narrow = equityRoot.clientWidth < 500;
      g.full = bounds(c.x);
      // Both value axes have one width, so that the times stand below each other.
      const size = labelWidth(c.currency, c.v, c.dv);
      plot($(".equity", equityRoot), narrow ? 240 : 320, size, { stroke: css("--accent"), width: 1.6, fill: css("--fill"), points: { show: c.x.length < 3 }, fillTo: u => u.scales.y.min }, [c.x, c.v], c.currency, g);
      plot($(".drawdown", equityRoot), narrow ? 130 : 160, size, { stroke: css("--neg"), width: 1.2, fill: css("--neg-fill"), points: { show: c.x.length < 3 }, fillTo: () => 0 }, [c.x, c.dv], c.currency, g,
        { scales: { y: { range: (_u, low) => [low < 0 ? low * 1.06 : -1, 0] } } });
      tell(c, c.x.length - 1, $(".readout", equityRoot));
    }, (u, output) => {
      const c = current(), i = u.cursor.idx ?? c.x.length - 1;
      tell(c, i, output);
    });
    pick.addEventListener("change", () => { g.range = null; g.draw(false); });
  } else if (equityRoot) {
    equityRoot.replaceChildren(Object.assign(document.createElement("p"), { className: "empty", textContent: "No equity was recorded." }));
  }

  const priceRoot = $('[data-chart="price"]');
  if (priceRoot && D.prices.length) {
    const pick = $("[data-pick]", priceRoot), broker = $("[data-broker]", priceRoot);
    options(pick, D.prices.map(c => c.label));
    const brokers = [...new Set(D.prices.flatMap(c => c.marks.map(m => m[4])))].sort();
    options(broker, ["all", ...brokers]);
    if (brokers.length < 2) broker.parentElement.style.display = "none";
    const current = () => D.prices[pick.value | 0];
    let marks = [];
    const drawMarks = u => {
      const { ctx, bbox } = u;
      const seen = marks.filter(m => m.x >= u.scales.x.min && m.x <= u.scales.x.max);
      const size = (seen.length > bbox.width / devicePixelRatio / 8 ? 3.5 : 5.5) * devicePixelRatio;
      ctx.save();
      ctx.beginPath(); ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height); ctx.clip();
      ctx.lineWidth = 1.5 * devicePixelRatio;
      for (const m of seen) {
        const x = u.valToPos(m.x, "x", true), y = u.valToPos(m.price, "y", true);
        const d = m.side > 0 ? 1 : -1;
        ctx.beginPath();
        ctx.moveTo(x, y + d * 2); ctx.lineTo(x - size, y + d * (size * 1.8)); ctx.lineTo(x + size, y + d * (size * 1.8)); ctx.closePath();
        ctx.strokeStyle = css(m.side > 0 ? "--pos" : "--neg");
        ctx.fillStyle = m.entry ? ctx.strokeStyle : css("--panel");
        ctx.fill(); ctx.stroke();
      }
      ctx.restore();
    };
    const g = group(priceRoot, "price", g => {
      const c = current(), who = broker.value | 0;
      c.x ??= cumulate(c.t);
      marks = c.marks.filter(m => !who || m[4] === brokers[who - 1])
        .map(([t, price, side, entry, , text]) => ({ x: toX(t / 1000), price, side, entry, text }));
      g.full = bounds(c.x);
      plot($(".price", priceRoot), priceRoot.clientWidth < 500 ? 280 : 400, labelWidth("", c.v), { stroke: css("--accent"), width: 1.2, points: { show: c.x.length < 3 } }, [c.x, c.v], "", g, { draw: drawMarks });
      $("[data-marks]").textContent = c.marks.length < c.marks_total ? `${c.marks.length} of ${c.marks_total} executions are marked, evenly spread.` : `${c.marks_total} executions.`;
      show($(".readout", priceRoot), [["", c.label]]);
    }, (u, output) => {
      const c = current(), i = u.cursor.idx;
      if (i == null) return;
      const pairs = [["", stamp(c.x[i])], ["price", String(c.v[i])]];
      let best = null, near = 14;
      for (const m of marks) {
        const dx = Math.abs(u.valToPos(m.x, "x") - u.cursor.left);
        if (dx < near) {
          const distance = Math.hypot(dx, (u.valToPos(m.price, "y") - u.cursor.top) * 0.4);
          if (distance < near) { near = distance; best = m; }
        }
      }
      if (best) pairs.push(["", best.text, best.side > 0 ? "pos" : "neg"]);
      show(output, pairs);
    });
    pick.addEventListener("change", () => g.draw(true));
    broker.addEventListener("change", () => g.draw(true));
  }

  const redrawAll = () => charts.forEach(g => g.draw(true));
  redrawAll();
  // The page's width changes without the window's where a scroll bar comes, as when the tables are filled.
  const page = document.documentElement;
  let width = page.clientWidth, timer;
  new ResizeObserver(() => {
    if (page.clientWidth === width) return;
    width = page.clientWidth; clearTimeout(timer); timer = setTimeout(redrawAll, 120);
  }).observe(page);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);
  matchMedia("print").addEventListener("change", redrawAll);

  // ---- Tables
  function header(table, sort) {
    $$("thead th", table).forEach((th, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...th.childNodes);
      th.append(button);
      button.addEventListener("click", () => {
        const numeric = th.classList.contains("n");
        const descending = th.hasAttribute("aria-sort") ? th.getAttribute("aria-sort") === "ascending" : numeric;
        for (const other of $$("thead th", table)) other.removeAttribute("aria-sort");
        th.setAttribute("aria-sort", descending ? "descending" : "ascending");
        sort(column, numeric, descending ? -1 : 1);
      });
    });
  }
  const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  for (const table of $$("table.sortable")) {
    if (table.tBodies[0].rows.length < 2) continue;
    header(table, (column, numeric, sign) => {
      const key = row => {
        const cell = row.cells[column];
        return numeric && "v" in cell.dataset ? Number(cell.dataset.v) : cell.textContent;
      };
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort((a, b) => sign * compare(key(a), key(b))));
    });
  }

  const list = $("#trade-list");
  if (list) {
    const SIZE = 50, section = $("#trades"), filter = $("[data-filter]", section);
    const text = cell => (Array.isArray(cell) ? cell[0] : cell);
    const number = cell => (Array.isArray(cell) ? cell[1] : -Infinity);
    const signed = new Set([9, 11]);
    const headers = $$("thead th", list).map(th => th.classList.contains("n"));
    const rows = D.trades.map(cells => ({ cells, words: cells.map(text).join(" ").toLowerCase() }));
    let shown = rows, page = 0;
    const render = () => {
      const pages = Math.max(1, Math.ceil(shown.length / SIZE));
      page = Math.min(Math.max(page, 0), pages - 1);
      list.tBodies[0].replaceChildren(...shown.slice(page * SIZE, page * SIZE + SIZE).map(({ cells }) => {
        const tr = document.createElement("tr");
        cells.forEach((cell, i) => {
          const td = document.createElement("td");
          td.textContent = text(cell);
          if (headers[i]) td.className = "n";
          if (signed.has(i) && number(cell) !== 0) td.classList.add(number(cell) < 0 ? "neg" : "pos");
          tr.append(td);
        });
        return tr;
      }));
      $("[data-pages]", section).textContent = `page ${page + 1} of ${pages} · ${shown.length} trades`;
      for (const b of $$("[data-page]", section)) b.disabled = b.dataset.page < 0 ? page === 0 : page === pages - 1;
    };
    const narrow = () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      shown = rows.filter(row => words.every(word => row.words.includes(word)));
      page = 0; render();
    };
    filter.addEventListener("input", narrow);
    for (const b of $$("[data-page]", section)) b.addEventListener("click", () => { page += Number(b.dataset.page); render(); });
    header(list, (column, numeric, sign) => {
      const key = numeric ? row => number(row.cells[column]) : row => text(row.cells[column]);
      rows.sort((a, b) => sign * compare(key(a), key(b)));
      narrow();
    });
    render();
  }
})();
