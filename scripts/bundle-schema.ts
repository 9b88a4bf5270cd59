// Writes client/bundle-schema.json from what the client reads: run it after a change of client/bundle-format.ts.
import { writeFileSync } from "node:fs";

import { bundleJsonSchema } from "../client/bundles.js";

writeFileSync("client/bundle-schema.json", `${JSON.stringify(bundleJsonSchema(), undefined, 2)}\n`);
