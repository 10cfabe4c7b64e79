// The API from its own description, without anybody else's script.
"use strict";

function add(parent, tag, text) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function prose(parent, text) {
  const made = add(parent, "p");
  text.split("`").forEach((part, number) => (number % 2 ? add(made, "code", part) : made.append(part)));
}

function kindOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  const parts = schema.anyOf || schema.oneOf;
  if (parts) return parts.map(kindOf).join(" | ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.type === "array") return `[${kindOf(schema.items) || "…"}]`;
  return schema.format || schema.type || "";
}

function table(parent, head, rows) {
  if (!rows.length) return;
  const filled = head.map((_, number) => rows.some((cells) => cells[number]));
  const kept = (cells) => cells.filter((_, number) => filled[number]);
  const made = add(parent, "table");
  const first = made.insertRow();
  for (const text of kept(head)) add(first, "th", text);
  for (const cells of rows) {
    const line = made.insertRow();
    for (const text of kept(cells)) add(line, "td", text);
  }
}

function fields(schema) {
  return Object.entries(schema.properties || {}).map(([name, one]) => [
    name, kindOf(one), one.default === undefined || one.default === null ? "" : JSON.stringify(one.default), one.description || "",
  ]);
}

function showOne(parent, method, path, told) {
  const heading = add(parent, "h2");
  add(heading, "code", `${method.toUpperCase()} ${path}`);
  prose(parent, told.description || told.summary || "");
  for (const [kind, body] of Object.entries(told.requestBody?.content || {})) {
    add(parent, "p", `Body: ${kind}`);
    table(parent, ["field", "kind", "default", ""], fields(body.schema));
  }
  const answers = Object.entries(told.responses || {}).map(([status, one]) => [
    status, one.description, Object.entries(one.content || {}).map(([kind, body]) => `${kind} ${kindOf(body.schema)}`).join(", "),
  ]);
  table(parent, ["status", "means", "content"], answers);
}

async function show() {
  const api = await (await fetch("/openapi.json")).json();
  const place = document.getElementById("api");
  place.replaceChildren();
  prose(place, api.info.description);
  for (const [path, methods] of Object.entries(api.paths))
    for (const [method, told] of Object.entries(methods)) showOne(place, method, path, told);
  for (const [name, schema] of Object.entries(api.components?.schemas || {})) {
    add(place, "h2", name);
    prose(place, schema.description || "");
    table(place, ["field", "kind", "default", ""], fields(schema));
  }
}

show().catch((error) => { document.getElementById("api").textContent = `openapi.json cannot be read: ${error}`; });
