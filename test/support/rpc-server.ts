import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

import { connection } from "./chain.js";

interface Request {
  id: number;
  method: string;
  params?: unknown[];
}

/** A node at a URL. */
export interface RpcServer {
  url: string;
  close(): Promise<void>;
}

/**
 * Serves the shared chain over HTTP, as a node would.
 *
 * @param answer Gives another answer to some requests, from the one that is right.
 */
export async function serveChain(
  answer: (method: string, result: unknown) => unknown = (_, r) => r,
): Promise<RpcServer> {
  const server = createServer((request, response) => {
    void (async () => {
      let body = "";
      for await (const piece of request) body += String(piece);
      const { id, method, params = [] } = JSON.parse(body) as Request;
      const reply = await connection.provider.request({ method, params }).then(
        (result) => ({ result: answer(method, result) }),
        (error: unknown) => {
          const { code = -32_000, message, data } = error as Error & { code?: number; data?: unknown };
          return { error: { code, message, data } };
        },
      );
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ jsonrpc: "2.0", id, ...reply }));
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => {
          resolve();
        });
      }),
  };
}
