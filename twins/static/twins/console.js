/* A plain page for queries where GraphiQL, which comes from the internet, does not come: a plant's network often has none. */
"use strict";
(() => {
  const PATIENCE = 4000; // milliseconds; a firewall that drops packets would keep the page waiting for minutes
  const EXAMPLE = "{\n  worst(level: PART, first: 5) {\n    nodes { tag name health { score coverage } }\n  }\n}";
  const PAGE = `<!doctype html><html lang="en"><title>GraphQL</title><style>
    body { font: 1rem sans-serif; margin: 1rem; color-scheme: light dark; }
    form { display: grid; gap: .5rem; align-content: start; } textarea, pre { font: .875rem monospace; }
    @media (min-width: 60rem) { main { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; } }
    pre { overflow: auto; max-height: 85vh; margin: 0; }</style>
    <p>GraphiQL could not be fetched from unpkg.com, so this plain page stands in for it.</p>
    <main><form>
      <label for="query">Query</label><textarea id="query" rows="20" spellcheck="false"></textarea>
      <label for="variables">Variables (JSON)</label><textarea id="variables" rows="4" spellcheck="false"></textarea>
      <button>Run (Ctrl-Enter)</button>
    </form><pre aria-live="polite"></pre></main>`;
  let taken = false;

  function takeOver() {
    if (taken || window.GraphiQL) return;
    taken = true;
    window.stop();
    document.open();
    document.write(PAGE);
    document.close();
    const form = document.querySelector("form");
    form.query.value = new URLSearchParams(location.search).get("q") || EXAMPLE;
    form.addEventListener("submit", (event) => { event.preventDefault(); run(form); });
    form.addEventListener("keydown", (event) => { if (event.ctrlKey && event.key === "Enter") run(form); });
  }

  async function run(form) {
    const output = document.querySelector("pre");
    try {
      const variables = JSON.parse(form.variables.value || "null");
      const answer = await fetch(location.pathname, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-Requested-With": "GraphiQL" },
        body: JSON.stringify({ query: form.query.value, variables }),
      });
      output.textContent = JSON.stringify(await answer.json(), null, 2);
    } catch (error) {
      output.textContent = String(error);
    }
  }

  setTimeout(takeOver, PATIENCE);
  window.addEventListener("load", takeOver);
})();
