import { verifyJWT } from "did-jwt";
import { Resolver } from "did-resolver";
import { getResolver } from "ethr-did-resolver";
import { parseDid, resolverConfig, withMultikeys, type Touchstone } from "touchstone";

/** The device that logs in to `audience` with a token that its own key signed. */
export async function deviceOfToken(options: {
  touchstone: Touchstone;
  token: string;
  audience: string;
}): Promise<string> {
  const { touchstone, token, audience } = options;
  const resolver = new Resolver(withMultikeys(getResolver(resolverConfig({ touchstone }))));

  // "authentication" leaves out the keys that an owner adds.
  const verified = await verifyJWT(token, { resolver, audience, proofPurpose: "authentication" });
  const { issuer, payload, signer } = verified;
  const { device } = parseDid(issuer);
  // These are checked only where a token has them.
  if (!payload.aud || !payload.exp) throw new Error(`A token of ${device} must say for whom it is, and until when.`);
  // The owner is in every document as the controller: what it signs, the device did not say.
  if (signer.id.endsWith("#controller")) throw new Error(`The owner of ${device} signed, not the device.`);
  return device;
}
