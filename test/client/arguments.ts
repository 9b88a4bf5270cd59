import { expect } from "chai";
import { getAddress, hexlify } from "ethers";
import fc from "fast-check";

import { FOREVER, requireAddress, requireHex, requireUint, ZERO_HASH } from "../../client/arguments.js";
import { errorOf } from "../support/errors.js";

const CHECKSUMMED = "0x5FbDB2315678afecb367f032d93F642f64180aa3";

describe("arguments", () => {
  it("take an address with its checksum, and without any", () => {
    expect(requireAddress("device", CHECKSUMMED)).to.equal(CHECKSUMMED);
    expect(requireAddress("device", CHECKSUMMED.toLowerCase())).to.equal(CHECKSUMMED);
  });

  it("refuse an address with a wrong checksum, and say what is right", async () => {
    const wrong = CHECKSUMMED.replace("F", "f");
    const error = await errorOf("INVALID_ARGUMENT", () => requireAddress("device", wrong));
    expect(error.details).to.deep.equal({ argument: "device", value: wrong, fixed: CHECKSUMMED });
    expect(error.message).to.contain("device").and.contain(wrong).and.contain(CHECKSUMMED);
  });

  it("find any change of one letter's case in an address", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 20, maxLength: 20 }), fc.nat(39), (bytes, at) => {
        const address = getAddress(hexlify(bytes));
        const letter = address[at + 2] ?? "";
        const swapped = letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase();
        const changed = address.slice(0, at + 2) + swapped + address.slice(at + 3);
        fc.pre(
          changed !== address &&
            changed.toLowerCase() !== changed &&
            changed.toUpperCase() !== changed.replace("0x", "0X"),
        );
        expect(() => requireAddress("device", changed)).to.throw("checksum");
      }),
    );
  });

  it("refuse what is no address, naming it", async () => {
    for (const value of ["", "0x", "vitalik.eth", `${CHECKSUMMED}00`, CHECKSUMMED.slice(2), "0x5FbG", null, 5n]) {
      const error = await errorOf("INVALID_ARGUMENT", () => requireAddress("owner", value as string));
      expect(error.details).to.deep.equal({ argument: "owner", value, bytes: 20 });
    }
  });

  it("take bytes as hex, of the length that is asked for", async () => {
    expect(requireHex("salt", ZERO_HASH, 32)).to.equal(ZERO_HASH);
    expect(requireHex("signature", "0x")).to.equal("0x");
    for (const value of ["0x1", "00", `${ZERO_HASH}00`, "0xzz", "0X00"]) {
      const error = await errorOf("INVALID_ARGUMENT", () => requireHex("salt", value, 32));
      expect(error.message).to.contain("salt").and.contain(value.slice(0, 60)).and.contain("32 bytes");
    }
    await errorOf("INVALID_ARGUMENT", () => requireHex("signature", "0x1"));
  });

  it("shorten what they quote", async () => {
    const error = await errorOf("INVALID_ARGUMENT", () => requireHex("salt", `0x${"00".repeat(10_000)}`, 32));
    expect(error.message.length).to.be.lessThan(300);
  });

  it("take whole numbers within their bits", async () => {
    expect(requireUint("expiry", FOREVER, 40)).to.equal(2n ** 40n - 1n);
    expect(requireUint("expiry", 0n, 40)).to.equal(0n);
    for (const value of [-1n, 2n ** 40n, 5, "5", Number.NaN, undefined]) {
      const error = await errorOf("INVALID_ARGUMENT", () => requireUint("expiry", value as bigint, 40));
      expect(error.message)
        .to.contain("expiry")
        .and.contain(String(value))
        .and.contain(String(2n ** 40n - 1n));
    }
  });
});
