// Send a picture to /detect and show what comes back. Text from outside is only ever set as text.
"use strict";
const at = (id) => document.getElementById(id);
let address = null;

function headers() {
  const key = at("key").value.trim();
  return key ? { Authorization: `Bearer ${key}` } : {};
}

function row(table, cells, head = false) {
  const line = table.insertRow();
  for (const cell of cells) {
    const made = document.createElement(head ? "th" : "td");
    made.textContent = cell;
    line.append(made);
  }
}

function plain(value) {
  return typeof value === "number" ? String(Number(value.toPrecision(6))) : String(value);
}

function complain(said) {
  at("result").hidden = true;
  at("problem").hidden = false;
  at("problem").textContent = said;
}

async function ask() {
  const answer = await fetch("/models", { headers: headers() });
  const body = await answer.json();
  if (!answer.ok) {
    at("served").textContent = `${body.detail}${body.hint ? `: ${body.hint}` : ""}`;
    return;
  }
  const chosen = at("class_name");
  while (chosen.options.length > 1) chosen.remove(1);
  for (const model of body.models) chosen.add(new Option(model.class_name, model.class_name));
  const byName = (m) => (body.models.length > 1 && !m.can_be_retrieved ? ", only by its name" : "");
  const said = body.models.map((m) => `${m.class_name} (${m.method}, version ${m.version}${byName(m)})`);
  const missing = body.problems.map((problem) => `\nnot taken: ${problem.detail}`);
  at("served").textContent = `served: ${said.join(", ")}${missing.join("")}`;
}

async function look(file) {
  const form = new FormData();
  form.append("file", file);
  form.append("return_map", "true");
  if (at("class_name").value) form.append("class_name", at("class_name").value);
  let answer, body;
  try {
    answer = await fetch("/detect", { method: "POST", body: form, headers: headers() });
    body = await answer.json();
  } catch (error) {
    complain(`no answer: ${error}`);
    return;
  }
  if (!answer.ok) {
    complain(body.hint ? `${body.detail}\n${body.hint}` : body.detail);
    return;
  }
  show(file, body);
}

function show(file, body) {
  at("problem").hidden = true;
  at("result").hidden = false;
  if (address) URL.revokeObjectURL(address);
  address = URL.createObjectURL(file);
  at("picture").src = address;
  at("heat").hidden = !body.anomaly_map_base64;
  if (body.anomaly_map_base64) at("heat").src = `data:image/png;base64,${body.anomaly_map_base64}`;
  at("verdict").className = body.label ?? "";
  at("verdict").textContent = body.label ? `${body.label}  ${body.reason}` : body.warnings.join("; ");
  const facts = at("facts");
  facts.replaceChildren();
  for (const name of ["class_name", "class_confidence", "anomaly_score", "threshold", "ratio", "anomaly_percentage"])
    if (body[name] !== null) row(facts, [name, plain(body[name])]);
  for (const [stage, ms] of Object.entries(body.processing_time_ms)) row(facts, [`${stage}, ms`, ms.toFixed(1)]);
  row(facts, ["request_id", body.request_id]);
  const regions = at("regions");
  regions.replaceChildren();
  if (body.regions && body.regions.length) {
    row(regions, ["region", "area, px", "x, y", "highest"], true);
    for (const region of body.regions)
      row(regions, [region.component_id, region.area, region.centroid.map(Math.round).join(", "), region.max_anomaly_value.toFixed(3)]);
  }
}

at("file").addEventListener("change", () => at("file").files.length && look(at("file").files[0]));
at("form").addEventListener("submit", (event) => event.preventDefault());
at("key").addEventListener("change", ask);
at("shown").addEventListener("change", () => { at("heat").style.visibility = at("shown").checked ? "" : "hidden"; });
for (const kind of ["dragover", "dragleave", "drop"])
  at("drop").addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) look(event.dataTransfer.files[0]);
  });
ask().catch((error) => { at("served").textContent = `no answer: ${error}`; });
