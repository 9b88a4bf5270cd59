// Writes client/consent-receipt-schema.json from what the client makes: run it after a change of client/consent-receipt-format.ts.
import { writeFileSync } from "node:fs";

import { receiptJsonSchema } from "../client/consent-receipts.js";

writeFileSync("client/consent-receipt-schema.json", `${JSON.stringify(receiptJsonSchema(), undefined, 2)}\n`);
