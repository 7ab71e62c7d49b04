/* A plain page for queries. Nothing comes from elsewhere: a plant's network often has no internet, and a script of a
   third party would run with the rights of whoever is signed in. */
"use strict";
(() => {
  const EXAMPLE = "{\n  worst(level: PART, first: 5) {\n    nodes { tag name health { score coverage } }\n  }\n}";
  const TYPES = `{ __schema { types { name kind description
    fields { name description args { name type { ...T } } type { ...T } }
    inputFields { name description type { ...T } }
    enumValues { name description } possibleTypes { name } } } }
    fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }`;
  const form = document.querySelector("form");
  const output = document.querySelector("pre");
  const schema = document.querySelector("section");

  async function send(query, variables) {
    const answer = await fetch(location.pathname, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Requested-With": "console" },
      body: JSON.stringify({ query, variables }),
    });
    return answer.json();
  }

  async function run() {
    try {
      output.textContent = "…";
      const variables = JSON.parse(form.variables.value || "null");
      output.textContent = JSON.stringify(await send(form.query.value, variables), null, 2);
    } catch (error) {
      output.textContent = String(error);
    }
  }

  function written(type) {
    if (type.kind === "NON_NULL") return `${written(type.ofType)}!`;
    return type.kind === "LIST" ? `[${written(type.ofType)}]` : type.name;
  }

  function line(field) {
    const args = (field.args || []).map((arg) => `${arg.name}: ${written(arg.type)}`).join(", ");
    const entry = document.createElement("li");
    const name = document.createElement("code");
    name.textContent = field.name + (args && `(${args})`) + (field.type ? `: ${written(field.type)}` : "");
    entry.append(name, ` ${field.description || ""}`);
    return entry;
  }

  function explain(type) {
    const box = document.createElement("details");
    const summary = document.createElement("summary");
    const list = document.createElement("ul");
    summary.textContent = `${type.name}: ${type.description || type.kind}`;
    list.append(...(type.fields || type.inputFields || type.enumValues || type.possibleTypes || []).map(line));
    box.append(summary, list);
    return box;
  }

  async function tell() {
    const { data } = await send(TYPES);
    const types = data.__schema.types.filter((type) => !type.name.startsWith("__"));
    const first = (type) => ["Query", "Mutation", "Subscription"].indexOf(type.name) < 0;
    types.sort((a, b) => first(a) - first(b) || a.name.localeCompare(b.name));
    schema.append(...types.map(explain));
  }

  form.query.value = new URLSearchParams(location.search).get("q") || EXAMPLE;
  form.addEventListener("submit", (event) => { event.preventDefault(); run(); });
  form.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "Enter") { event.preventDefault(); run(); }
  });
  tell();
})();
