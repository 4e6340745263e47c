// From nothing to assignments with the types that openapi-typescript makes. Run by test_generated_clients.py.

import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { env: Record<string, string>; exit(code: number): never };
declare const console: { log(...words: unknown[]): void; error(...words: unknown[]): void };

const client = createClient<paths>({
  baseUrl: process.env.PULLPLAN_URL,
  headers: { Authorization: `Bearer ${process.env.PULLPLAN_KEY}` },
});

function assert(holds: unknown, words: unknown): asserts holds {
  if (!holds) {
    console.error(words);
    process.exit(1);
  }
}

const reports = [
  await client.PUT("/v1/products", { body: [{ product_code: "BOWL", weight_kg: 0.8 }] }),
  await client.PUT("/v1/regions", { body: [{ region_code: "LILLE", latitude: 50.63, longitude: 3.06 }] }),
  await client.PUT("/v1/nodes", { body: [{ node_code: "KILN-LENS", latitude: 50.43, longitude: 2.83 }] }),
  await client.PUT("/v1/capacity", {
    body: [{ node_code: "KILN-LENS", resource_code: "kiln_hours", capacity_per_day: 24 }],
  }),
  await client.PUT("/v1/capabilities", {
    body: [{ node_code: "KILN-LENS", product_code: "BOWL", use_per_unit: { kiln_hours: 0.5 } }],
  }),
];
// Of what a run stores, `data` is that run.
for (const { data, error } of reports) assert(data !== undefined && "refused" in data && data.refused === 0, error);

const week = 7 * 24 * 3600 * 1000;
const order: components["schemas"]["Order"] = {
  kind: "order",
  source: "typescript",
  external_id: "1",
  product_code: "BOWL",
  region_code: "LILLE",
  units: 9,
  occurred_at: new Date().toISOString(),
  due_date: new Date(Date.now() + week).toISOString().slice(0, 10),
};
const stored = await client.POST("/v1/demand-signals", { body: order });
assert(stored.data?.units === 9 && stored.data.revision === 1, stored.error);

const refused = await client.POST("/v1/demand-signals", { body: { ...order, external_id: "2", product_code: "NONE" } });
assert(refused.error?.code === "lines-refused", refused);

const run = await client.POST("/v1/plans", {
  body: { horizon_buckets: 4 },
  params: { header: { Prefer: "wait=30" } },
});
assert(run.data?.state === "succeeded" && run.data.problem === null, run);

const lines = await client.GET("/v1/plans/{plan_id}/assignments", {
  params: { path: { plan_id: run.data.run_id }, query: { product_code: "BOWL" } },
});
assert(lines.data && typeof lines.data !== "string", lines.error); // CSV and NDJSON are texts
assert(lines.data.next_cursor === null, lines.data);
assert(lines.data.items.length > 0 && lines.data.items.every((line) => line.node_code === "KILN-LENS"), lines.data);
console.log(`${lines.data.items.reduce((units, line) => units + line.units, 0)} bowls at KILN-LENS`);
