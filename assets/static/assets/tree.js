// Opens branches of the tree in place. Without it each branch is a link to a page of its own.
"use strict";

(() => {
  const tree = document.querySelector("[data-tree]");
  const status = document.querySelector("[data-tree-status]");
  if (!tree) return;

  const rows = async (address) => {
    const answer = await fetch(`${address}&part=1`, { credentials: "same-origin" });
    // A session that has ended leads to the login page, which is not a branch.
    if (!answer.ok || answer.redirected) throw new Error(`${answer.status}`);
    const holder = document.createElement("template");
    holder.innerHTML = await answer.text();
    return holder.content.querySelector("ul") ?? document.createElement("ul");
  };

  const branchOf = (button) => button.closest("li").querySelector(":scope > ul");

  const toggle = async (button, open = button.getAttribute("aria-expanded") !== "true") => {
    if (button.getAttribute("aria-busy") === "true") return;
    let branch = branchOf(button);
    if (open && !branch) {
      button.setAttribute("aria-busy", "true");
      try {
        branch = await rows(button.dataset.address);
        upgrade(branch);
        button.closest("li").append(branch);
        const count = branch.querySelectorAll(":scope > li").length;
        status.textContent = `${button.dataset.tag}: ${count} shown`;
      } catch {
        window.location.assign(button.dataset.address);
        return;
      } finally {
        button.removeAttribute("aria-busy");
      }
    }
    if (branch) branch.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
  };

  const more = async (link) => {
    if (link.getAttribute("aria-busy") === "true") return;
    link.setAttribute("aria-busy", "true");
    try {
      const fresh = await rows(link.getAttribute("href"));
      upgrade(fresh);
      const place = link.closest("li");
      const first = fresh.querySelector("button, a");
      place.replaceWith(...fresh.children);
      first?.focus();
    } catch {
      window.location.assign(link.href);
    }
  };

  const upgrade = (part) => {
    for (const link of part.querySelectorAll("a.register-twist")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = link.className;
      button.dataset.address = link.getAttribute("href");
      button.dataset.tag = link.closest(".register-row").querySelector(".register-tag").textContent;
      button.setAttribute("aria-label", link.getAttribute("aria-label"));
      button.setAttribute("aria-expanded", String("open" in link.dataset));
      link.replaceWith(button);
    }
  };

  const visible = () => [...tree.querySelectorAll(".register-row")].filter((row) => row.offsetParent !== null);

  const step = (row, by) => {
    const all = visible();
    const next = all[all.indexOf(row) + by];
    (next?.querySelector("button") ?? next?.querySelector(".register-name"))?.focus();
  };

  tree.addEventListener("click", (event) => {
    const button = event.target.closest("button.register-twist");
    const link = event.target.closest("[data-more]");
    if (button) toggle(button);
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      more(link);
    }
  });

  tree.addEventListener("keydown", (event) => {
    const row = event.target.closest(".register-row");
    if (!row || event.altKey || event.ctrlKey || event.metaKey) return;
    const button = row.querySelector("button.register-twist");
    const open = button?.getAttribute("aria-expanded") === "true";
    const keys = {
      ArrowDown: () => step(row, 1),
      ArrowUp: () => step(row, -1),
      ArrowRight: () => (button && !open ? toggle(button, true) : step(row, 1)),
      ArrowLeft: () => {
        if (open) return toggle(button, false);
        const above = row.closest("ul").closest("li")?.querySelector(":scope > .register-row button");
        above?.focus();
      },
    };
    if (keys[event.key]) {
      event.preventDefault();
      keys[event.key]();
    }
  });

  upgrade(tree);
})();
