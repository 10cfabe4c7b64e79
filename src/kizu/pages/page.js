"use strict";
(() => {
  const STEP = 60; // cards that are made at a time
  const SVG = "http://www.w3.org/2000/svg";
  const OUTCOME = [["passed good", "rejected good"], ["missed defect", "found defect"], ["OK", "NG"]];

  function make(name, attributes = {}, ...children) {
    const isDrawn = ["svg", "path", "line", "rect", "circle", "text", "g", "defs", "pattern", "title"].includes(name);
    const made = isDrawn ? document.createElementNS(SVG, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (value === true) made.setAttribute(key, "");
      else if (value !== false && value !== null) made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  }

  const short = (value) => String(+value.toPrecision(4));
  const percent = (part, all) => (all ? `${+((100 * part) / all).toPrecision(3)} %` : "–");
  const dataOf = (block) => JSON.parse(block.querySelector("script").textContent);

  function ticks(low, high, count) {
    const raw = (high - low) / count || 1;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = power * [1, 2, 5, 10].find((one) => one * power >= raw);
    const found = [];
    for (let at = Math.ceil(low / step); at * step <= high; at++) found.push(+(at * step).toPrecision(12));
    return found;
  }

  // ---- scores and the threshold ----

  class Scores {
    constructor(block) {
      this.block = block;
      const { threshold, scores, unit, relative } = dataOf(block);
      Object.assign(this, { deployed: threshold, threshold, scores, unit, relative, uid: Scores.made++ });
      this.classes = [0, 1, 2].map((one) => scores.filter((pair) => pair[1] === one).map((pair) => pair[0]));
      const values = scores.map((pair) => pair[0]);
      const low = values.reduce((a, b) => Math.min(a, b), threshold);
      const high = values.reduce((a, b) => Math.max(a, b), threshold);
      const room = (high - low) * 0.03 || Math.abs(high) * 0.1 || 1;
      this.low = low - room;
      this.high = high + room;
      this.draw(block.querySelector(".plots"));
      this.move(threshold);
    }

    x(value) { return 30 + (640 * (value - this.low)) / (this.high - this.low); }

    draw(place) {
      const bins = Math.min(48, Math.max(8, Math.round(this.scores.length / 4)));
      const width = (this.high - this.low) / bins;
      const counts = this.classes.map((values) => {
        const found = new Array(bins).fill(0);
        for (const value of values) found[Math.min(bins - 1, Math.floor((value - this.low) / width))]++;
        return found;
      });
      const most = Math.max(1, ...counts.flat());
      const hatch = `hatch-${this.uid}`;
      const svg = make("svg", { viewBox: "0 0 680 250", role: "img", "aria-label": `Histogram of ${this.scores.length} scores by class, with the threshold` });
      svg.append(make("defs", {}, make("pattern", { id: hatch, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, make("line", { class: "hatch", x1: 0, y1: 0, x2: 0, y2: 6 }))));
      counts.forEach((found, one) => found.forEach((count, bin) => {
        if (!count) return;
        const height = (190 * count) / most;
        const left = this.x(this.low + bin * width);
        const look = one === 1 ? { class: "fill1", style: `fill: url(#${hatch})` } : { class: `fill${one}` };
        svg.append(make("rect", { ...look, x: left + 0.5, y: 210 - height, width: 640 / bins - 1, height }));
      }));
      svg.append(make("line", { class: "axis", x1: 30, x2: 670, y1: 210, y2: 210 }));
      for (const at of ticks(this.low, this.high, 7)) svg.append(make("text", { x: this.x(at), y: 226, "text-anchor": "middle" }, short(at)));
      svg.append(make("text", { x: 670, y: 244, "text-anchor": "end" }, this.unit));
      for (const at of ticks(0, most, 3)) svg.append(make("text", { x: 26, y: 214 - (190 * at) / most, "text-anchor": "end" }, at));
      const x = this.x(this.deployed);
      svg.append(make("line", { class: "deployed", x1: x, x2: x, y1: 8, y2: 210 }));
      this.cut = make("line", { class: "cut", y1: 8, y2: 210 });
      const grab = make("rect", { class: "grab", x: 30, y: 0, width: 640, height: 215 });
      const drag = (event) => {
        if (event.type === "pointermove" && !event.buttons) return;
        const box = svg.getBoundingClientRect();
        const at = ((event.clientX - box.left) / box.width) * 680;
        this.move(this.low + ((at - 30) / 640) * (this.high - this.low));
      };
      grab.addEventListener("pointerdown", (event) => { grab.setPointerCapture(event.pointerId); drag(event); });
      grab.addEventListener("pointermove", drag);
      svg.append(this.cut, grab);
      const names = ["good", "defective", "pictures"].map((name, one) => [one, `${this.classes[one].length} ${name}`]).filter(([one]) => this.classes[one].length);
      const legend = make("p", { class: "key" });
      for (const [one, name] of names) {
        const box = make("svg", { viewBox: "0 0 16 12", width: 16, height: 12, "aria-hidden": "true", style: "width: 1.2rem" });
        box.append(make("rect", { x: 1, y: 1, width: 14, height: 10, ...(one === 1 ? { class: "fill1", style: `fill: url(#${hatch})` } : { class: `fill${one}` }) }));
        legend.append(box, make("span", {}, name));
      }
      legend.append(make("span", {}, "dashed: the threshold in force"));
      this.range = make("input", { type: "range", min: this.low, max: this.high, step: "any", "aria-label": "Threshold to try", oninput: () => this.move(+this.range.value) });
      this.told = make("div", { class: "told", role: "status" });
      this.reset = make("button", { type: "button", onclick: () => this.move(this.deployed) }, "back to the one in force");
      const left = make("div", { class: "wide-plot" }, legend, svg, this.range, this.told, this.reset);
      if (this.classes[0].length && this.classes[1].length) left.append(this.money());
      place.append(left);
      if (this.classes[0].length && this.classes[1].length) {
        place.append(this.curve("ROC: defects found against good parts rejected", this.roc(), (c) => [c.rejected / c.good, c.found / c.bad]));
        place.append(this.curve("Precision against recall", this.pr(), (c) => [c.found / c.bad, c.found + c.rejected ? c.found / (c.found + c.rejected) : 1]));
      }
    }

    money() {
      const field = (name, value, step) => make("input", { type: "number", min: 0, step, value, oninput: () => this.move(this.threshold), "aria-label": name });
      this.costs = [field("Cost of a defect that passes", 100, "any"), field("Cost of a good part that is rejected", 1, "any"), field("Defective parts in a thousand", 10, "any")];
      this.cost = make("b", {});
      const labelled = ["a defect that passes costs", "a good part rejected costs", "defective in 1,000"].map((name, i) => make("label", {}, `${name} `, this.costs[i]));
      return make("details", {}, make("summary", {}, "What it costs"), make("div", { class: "money" }, ...labelled, make("span", {}, "1,000 parts cost ", this.cost)));
    }

    count(threshold) {
      const above = (values) => values.filter((value) => value > threshold).length;
      const [good, bad, other] = this.classes;
      return { good: good.length, bad: bad.length, other: other.length, rejected: above(good), found: above(bad), flagged: above(other) };
    }

    // Corners of both curves, the highest score first; equal scores go together.
    steps() {
      const sorted = this.scores.filter((pair) => pair[1] < 2).sort((a, b) => b[0] - a[0]);
      const found = [[0, 0]];
      let [fp, tp] = [0, 0];
      sorted.forEach(([score, one], i) => {
        if (one) tp++; else fp++;
        if (i + 1 === sorted.length || sorted[i + 1][0] !== score) found.push([fp, tp]);
      });
      return found;
    }
    roc() { return this.steps().map(([fp, tp]) => [fp / this.classes[0].length, tp / this.classes[1].length]); }
    pr() {
      const points = this.steps().slice(1).map(([fp, tp]) => [tp / this.classes[1].length, tp / (tp + fp)]);
      return points.flatMap((point, i) => (i ? [[points[i - 1][0], point[1]], point] : [[0, point[1]], point]));
    }

    curve(title, points, where) {
      const svg = make("svg", { viewBox: "-28 -8 240 236", role: "img", "aria-label": title });
      const [px, py] = [(v) => 200 * v, (v) => 200 - 200 * v];
      svg.append(make("path", { class: "axis", fill: "none", d: "M0 0V200H200" }));
      for (const at of [0, 0.5, 1]) {
        svg.append(make("text", { x: px(at), y: 215, "text-anchor": "middle" }, at), make("text", { x: -5, y: py(at) + 4, "text-anchor": "end" }, at));
      }
      svg.append(make("path", { class: "curve", d: "M" + points.map(([a, b]) => `${px(a).toFixed(2)} ${py(b).toFixed(2)}`).join("L") }));
      const [a, b] = where(this.count(this.deployed));
      const dot = make("circle", { class: "dot", r: 5 });
      svg.append(make("circle", { class: "was", cx: px(a), cy: py(b), r: 6 }), dot);
      (this.dots ??= []).push((counts) => { const [u, v] = where(counts); dot.setAttribute("cx", px(u)); dot.setAttribute("cy", py(v)); });
      return make("div", { class: "one" }, make("p", { class: "plot-title" }, title), svg);
    }

    move(value) {
      this.threshold = Math.min(this.high, Math.max(this.low, value));
      const counts = this.count(this.threshold);
      const x = this.x(this.threshold);
      this.cut.setAttribute("x1", x);
      this.cut.setAttribute("x2", x);
      this.range.value = this.threshold;
      const moved = this.threshold !== this.deployed;
      this.reset.hidden = !moved;
      const note = this.block.querySelector(".moved");
      if (note) note.hidden = !moved;
      const line = (name, part, all) => make("span", {}, `${name} `, make("b", {}, `${part} of ${all}`), ` (${percent(part, all)})`);
      const said = [make("span", {}, "threshold ", make("b", {}, short(this.threshold)))];
      if (counts.bad) said.push(line("found", counts.found, counts.bad), line("escaped", counts.bad - counts.found, counts.bad));
      if (counts.good) said.push(line("overkill", counts.rejected, counts.good), line("good passed", counts.good - counts.rejected, counts.good));
      if (counts.other) said.push(line("NG", counts.flagged, counts.other));
      this.told.replaceChildren(...said);
      this.dots?.forEach((put) => put(counts));
      if (this.costs) {
        const [escape, overkill, share] = this.costs.map((one) => +one.value);
        const total = share * escape * (1 - counts.found / counts.bad) + (1000 - share) * overkill * (counts.rejected / counts.good);
        this.cost.textContent = share <= 1000 ? short(total) : "–";
      }
      this.block.closest(".part").dispatchEvent(new CustomEvent("threshold", { detail: { moved: moved ? this.threshold : null, relative: this.relative } }));
    }
  }
  Scores.made = 0;

  // ---- cases ----

  const KEYS = ["name", "score", "threshold", "ng", "truth", "kind", "height", "width", "regions", "layers", "reason"];
  const area = (one) => one.regions.reduce((sum, region) => sum + region[4], 0);
  const SORTS = {
    "score, highest first": (a, b) => b.score - a.score,
    "score, lowest first": (a, b) => a.score - b.score,
    "name": (a, b) => (a.name < b.name ? -1 : 1),
    "kind": (a, b) => (a.kind < b.kind ? -1 : a.kind > b.kind ? 1 : b.score - a.score),
    "size of what was found": (a, b) => area(b) - area(a),
  };

  class Cases {
    constructor(block) {
      this.block = block;
      this.all = dataOf(block).cases.map((row) => Object.fromEntries(KEYS.map((key, i) => [key, row[i]])));
      this.low = this.all.reduce((least, one) => Math.min(least, one.score, one.threshold), Infinity);
      this.high = this.all.reduce((most, one) => Math.max(most, one.score, one.threshold), -Infinity);
      this.moved = null;
      this.grid = block.querySelector(".grid");
      this.button = block.querySelector(".more button");
      this.button.addEventListener("click", () => this.more());
      new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && !this.button.hidden && this.more(), { rootMargin: "600px" }).observe(this.button);
      block.closest(".part").addEventListener("threshold", (event) => {
        Object.assign(this, event.detail);
        if (this.changes) this.changes.hidden = this.moved === null;
        if (this.show && this.show.value === "change") this.update();
      });
      this.tools();
      this.update();
    }

    outcome(one) { return OUTCOME[one.truth][one.ng]; }
    wouldBe(one) { return this.moved === null ? one.ng : +((this.relative ? one.score / one.threshold : one.score) > this.moved); }

    tools() {
      const place = this.block.querySelector(".tools");
      const choice = (name, options) => {
        const select = make("select", { onchange: () => this.update() }, ...options.map(([value, told]) => make("option", { value }, told)));
        place.append(make("label", {}, name, select));
        return select;
      };
      const outcomes = [...new Set(this.all.map((one) => this.outcome(one)))];
      const order = OUTCOME.flat();
      outcomes.sort((a, b) => ["missed defect", "rejected good", "NG"].includes(b) - ["missed defect", "rejected good", "NG"].includes(a) || order.indexOf(b) - order.indexOf(a));
      const counted = outcomes.map((name) => [name, `${name} (${this.all.filter((one) => this.outcome(one) === name).length})`]);
      this.show = choice("Show", [["", `all (${this.all.length})`], ...counted, ["change", "what the moved threshold changes"]]);
      this.changes = this.show.lastElementChild;
      this.changes.hidden = true;
      if (counted.length > 1 && !["passed good", "OK"].includes(counted[0][0])) this.show.value = counted[0][0];
      const kinds = [...new Set(this.all.map((one) => one.kind).filter(Boolean))].sort();
      if (kinds.length > 1) this.kind = choice("Kind", [["", "all"], ...kinds.map((kind) => [kind, kind])]);
      this.sort = choice("Sort by", Object.keys(SORTS).map((name) => [name, name]));
      if (this.show.value === "missed defect") this.sort.value = "score, lowest first";
      if (this.all.length > 12) {
        this.find = make("input", { type: "search", size: 12, oninput: () => this.update() });
        place.append(make("label", {}, "Name", this.find));
      }
      this.side = make("input", { type: "checkbox", checked: true, onchange: () => this.update() });
      const strength = make("input", { type: "range", min: 0, max: 1, step: 0.05, value: 1, style: "width: 6rem", oninput: () => this.block.style.setProperty("--heat", strength.value) });
      if (this.all.some((one) => one.layers[0])) place.append(make("label", {}, this.side, "side by side"), make("label", {}, "map", strength));
    }

    update() {
      const [show, kind, name] = [this.show.value, this.kind?.value ?? "", (this.find?.value ?? "").toLowerCase()];
      this.shown = this.all.filter((one) => (show === "change" ? this.wouldBe(one) !== one.ng : !show || this.outcome(one) === show)
        && (!kind || one.kind === kind) && (!name || one.name.toLowerCase().includes(name)));
      this.shown.sort(SORTS[this.sort.value]);
      this.block.querySelector(".count").textContent = `${this.shown.length} of ${this.all.length} pictures`;
      this.grid.replaceChildren();
      this.made = 0;
      this.more();
    }

    more() {
      const next = this.shown.slice(this.made, this.made + STEP);
      this.grid.append(...next.map((one, i) => this.card(one, this.made + i)));
      this.made += next.length;
      this.button.hidden = this.made >= this.shown.length;
    }

    image(address, name, look, eager) { return make("img", { src: address, alt: name, class: look, loading: eager ? "eager" : "lazy", decoding: "async" }); }

    stack(one, names, eager) {
      const [picture, heat, found, truth, faint] = one.layers;
      const layers = { heat, found, true: truth, faint };
      const stack = make("div", { class: "layers", style: `--ratio: ${one.width / one.height || 1}` }, this.image(picture, names.length ? `${one.name}, ${names.join(" and ")}` : one.name, "", eager));
      for (const name of names) if (layers[name]) stack.append(this.image(layers[name], "", name, eager));
      return stack;
    }

    panes(one, eager = false) {
      const [picture, , , truth, faint, whole] = one.layers;
      if (!picture && !whole) return [make("div", { class: "none" }, "no picture was saved")];
      if (!picture) return [make("div", { class: "whole" }, this.image(whole, one.name, "", eager))];
      if (!this.side.checked) return [this.stack(one, ["heat", "found", "true"], eager)];
      const panes = [this.stack(one, truth ? ["true"] : [], eager), this.stack(one, ["heat", "found"], eager)];
      if (faint) panes.push(this.stack(one, ["faint", "true"], eager));
      return panes;
    }

    bar(one) {
      const at = (value) => (100 * (value - this.low)) / (this.high - this.low || 1);
      const bar = make("div", { class: one.score > one.threshold ? "bar over" : "bar", "aria-hidden": "true" });
      bar.append(make("i", { style: `width: ${Math.max(1, at(one.score))}%` }), make("b", { style: `left: calc(${at(one.threshold)}% - 1px)` }));
      return bar;
    }

    caption(one) {
      const label = one.ng ? "NG" : "OK";
      const said = one.truth === 2 ? "" : ` ${this.outcome(one)}`;
      const found = one.regions.length ? ` · ${one.regions.length} found, ${area(one)} px` : "";
      const kind = one.kind && one.kind !== "good" ? ` · ${one.kind}` : "";
      return [make("span", { class: `badge ${label}` }, label), `${said} · ${short(one.score)} against ${short(one.threshold)}${kind}${found}`];
    }

    card(one, index) {
      const open = make("button", { type: "button", class: "open-case", "aria-label": `Look at ${one.name}`, onclick: () => this.open(index) }, make("div", { class: "panes" }, ...this.panes(one)));
      const faint = one.layers[4] && this.side.checked ? make("div", { class: "soft" }, "right: the map on its own scale") : "";
      return make("li", {}, open, make("div", { class: "caption" }, ...this.caption(one), this.bar(one), make("div", { class: "soft" }, one.name), faint));
    }

    open(index) {
      if (!this.dialog) {
        this.dialog = make("dialog", { "aria-label": "One picture" });
        this.dialog.addEventListener("keydown", (event) => {
          const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
          if (step && event.target.tagName !== "INPUT") this.look(this.at + step);
        });
        this.block.append(this.dialog);
      }
      this.look(index);
      this.dialog.showModal();
    }

    look(index) {
      if (index < 0 || index >= this.shown.length) return;
      this.at = index;
      const one = this.shown[index];
      const view = make("div", { class: "view", tabindex: 0, role: "region", "aria-label": "The picture" }, make("div", { class: "panes" }, ...this.panes(one, true)));
      const zoom = make("input", { type: "range", min: 1, max: 6, step: 0.25, value: 1, style: "width: 8rem", oninput: () => view.style.setProperty("--zoom", zoom.value) });
      const button = (told, step) => make("button", { type: "button", disabled: this.shown[index + step] === undefined, onclick: () => this.look(index + step) }, told);
      const rows = one.regions.slice(0, 12).map(([x0, y0, x1, y1, size, ratio]) => make("tr", {}, ...[`${x0}, ${y0}`, `${x1 - x0} × ${y1 - y0}`, size, ratio ? `${short(ratio)} ×` : "–"].map((cell) => make("td", {}, cell))));
      const head = make("tr", {}, ...["at x, y (px)", "width × height", "area (px)", "peak, of the threshold"].map((cell) => make("th", { scope: "col" }, cell)));
      const table = rows.length ? [make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows))] : [];
      if (one.regions.length > 12) table.push(make("p", { class: "soft" }, `and ${one.regions.length - 12} more`));
      const tools = make("div", { class: "tools" }, button("previous", -1), button("next", 1), make("label", {}, "zoom", zoom), make("button", { type: "button", onclick: () => this.dialog.close() }, "close"));
      const size = one.height ? `${one.width} × ${one.height} px` : "";
      this.dialog.replaceChildren(make("div", { class: "head" }, make("strong", {}, one.name), tools), view,
        make("p", {}, ...this.caption(one)), this.bar(one), make("p", { class: "soft" }, [one.reason, size].filter(Boolean).join(" · ")), ...table);
    }
  }

  // The cases listen for the threshold, so they are made first.
  document.querySelectorAll("[data-cases]").forEach((block) => new Cases(block));
  document.querySelectorAll("[data-scores]").forEach((block) => new Scores(block));
})();
