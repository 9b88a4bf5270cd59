import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";

import { getAddress } from "ethers";
import type { Permission, PolicyMirror } from "touchstone";

/** Someone who reads a device's live values as they come. */
interface Session {
  device: string;
  account: string;
  response: ServerResponse;
}

/**
 * A gateway that serves live readings: GET /devices/0x…/live answers with a line for each, as long as the reader may read. TLS belongs
 * in front of it.
 *
 * @param options.mirror Who may read.
 * @param options.accountOf The account that a request logged in as, see "First know who asks".
 */
export function createGateway(options: {
  mirror: PolicyMirror;
  accountOf: (request: IncomingMessage) => string | undefined;
}): { server: Server; publish: (device: string, reading: string) => void } {
  const { mirror, accountOf } = options;
  const sessions = new Set<Session>();
  const permissions: Permission[] = ["ReadLive"];

  const reasonAgainst = ({ device, account }: Session): string | undefined => {
    // What the readings are served for. It is the gateway's to know, not the reader's to choose.
    const { allowed, reason } = mirror.explain({ device, account, permissions, purpose: "ServiceProvision" });
    return allowed ? undefined : reason;
  };
  const end = (session: Session): void => {
    sessions.delete(session);
    session.response.end();
  };
  const endUnlessAllowed = (session: Session): boolean => {
    if (reasonAgainst(session) === undefined) return true;
    end(session);
    return false;
  };

  // Whoever may not read any more is gone at once, and not when the next reading comes.
  mirror.onChange((devices) => {
    const isMeant = ({ device }: Session): boolean => devices === "all" || devices.includes(device);
    [...sessions].filter(isMeant).forEach(endUnlessAllowed);
  });

  const server = createServer((request, response) => {
    const id = /^\/devices\/(0x[0-9a-f]{40})\/live$/.exec(request.url?.toLowerCase() ?? "")?.[1];
    const account = accountOf(request);
    if (id === undefined) return void response.writeHead(404).end();
    if (account === undefined) return void response.writeHead(401).end();
    const session = { device: getAddress(id), account, response };
    const reason = reasonAgainst(session);
    if (reason !== undefined) return void response.writeHead(403).end(reason);
    sessions.add(session);
    response.on("close", () => sessions.delete(session));
    response.writeHead(200, { "content-type": "application/x-ndjson" }).flushHeaders();
  });
  return {
    server,
    publish(device, reading) {
      for (const session of [...sessions]) {
        // Asked for every message, not once when the reader came. Who is too slow would get later what it may read now.
        if (session.device !== device || !endUnlessAllowed(session)) continue;
        if (!session.response.write(`${reading}\n`)) session.response.destroy();
      }
    },
  };
}
