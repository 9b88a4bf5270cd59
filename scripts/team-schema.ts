// Writes client/team-schema.json from what the client reads: run it after a change of client/team-files.ts.
import { writeFileSync } from "node:fs";

import { teamJsonSchema } from "../client/team-files.js";

writeFileSync("client/team-schema.json", `${JSON.stringify(teamJsonSchema(), undefined, 2)}\n`);
