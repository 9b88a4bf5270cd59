import { createServer, type IncomingMessage, type Server } from "node:http";

import { authentication, TouchstoneError, type ErrorCode, type Key, type MessageDomain } from "touchstone";

/** A server that lets devices in: POST /challenge, then POST /session with the response. TLS belongs in front of it. */
export function serveDevices(verifier: authentication.Verifier): Server {
  const handle = async (request: IncomingMessage): Promise<object> => {
    if (request.url === "/challenge") return verifier.challenge();
    // A real server opens a session for the device that this returns.
    return verifier.verify({ response: await readBody(request) });
  };
  return createServer((request, response) => {
    const answer = (status: number, body: object): void => {
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    };
    handle(request).then(
      (body) => {
        answer(200, body);
      },
      (error: unknown) => {
        if (!(error instanceof TouchstoneError)) answer(500, {});
        else answer(HTTP_STATUS[error.code] ?? 503, { code: error.code, reason: error.details.reason });
      },
    );
  });
}

const HTTP_STATUS: Partial<Record<ErrorCode, number>> = {
  AUTHENTICATION_INVALID: 400,
  AUTHENTICATION_REFUSED: 401,
  CHALLENGES_EXHAUSTED: 429,
};

/** Reads all of a request, and keeps little more of it than a response can have: what is longer is refused. */
async function readBody(request: IncomingMessage): Promise<string> {
  let body = "";
  for await (const chunk of request.setEncoding("utf8")) {
    if (body.length <= authentication.MAX_JSON_LENGTH) body += chunk as string;
  }
  return body;
}

/** A device that logs in: it needs no chain, only what is in its configuration. */
export async function logIn(options: {
  url: string;
  audience: string;
  key: Key;
  domain: MessageDomain;
}): Promise<unknown> {
  const { url, audience, key, domain } = options;
  const challenge = await (await fetch(`${url}/challenge`, { method: "POST" })).text();
  const response = await authentication.respond({ key, domain, audience, challenge });
  return (await fetch(`${url}/session`, { method: "POST", body: JSON.stringify(response) })).json();
}
