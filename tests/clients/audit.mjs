// Audits the endpoint URL with the bearer token TOKEN, both from the environment: one JSON line an audit.
import { serverAudits } from "graphql-http";

const { URL: url, TOKEN: token } = process.env;
const fetchFn = (target, init = {}) =>
  fetch(target, { ...init, headers: { ...init.headers, authorization: `Bearer ${token}` } });

for (const audit of serverAudits({ url, fetchFn })) {
  const result = await audit.fn();
  const reason = result.status === "ok" ? "" : result.reason;
  console.log(JSON.stringify({ id: audit.id, name: audit.name, status: result.status, reason }));
}
