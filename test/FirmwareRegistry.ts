import { expect } from "chai";
import {
  AbiCoder,
  TypedDataEncoder,
  ZeroAddress,
  ZeroHash,
  encodeBytes32String,
  getAddress,
  id,
  keccak256,
  toBeHex,
} from "ethers";
import { network } from "hardhat";

import { accountKey, createP256Key, type Key } from "../client/keys.js";
import { messageDigest, messageTypes, releaseMessage } from "../client/typed-data.js";
import { IFirmwareRegistry__factory, IRegistry__factory } from "../typechain-types/index.js";

import { DAY, ethers, loadFixture, networkHelpers, now } from "./support/chain.js";
import {
  QUORUM,
  REASON,
  STATUS,
  V1,
  V2,
  V3,
  deployFirmware,
  deployReleases,
  indexOf,
  makeRelease,
  makeSignerSet,
  makeStatusChange,
  maskOf,
  publish,
  setStatus,
  signAll,
  signerKinds,
  type Release,
  type SignerKeys,
  type SignerProof,
  type SignerSet,
} from "./support/firmware.js";
import { wrongCallers } from "./support/fleet.js";
import { REGISTRY_INTERFACE_IDS, interfaceIdOf } from "./support/interface-id.js";
import { wrongProofs } from "./support/signed-messages.js";
import { structOf } from "./support/struct.js";

const PUBLISH_MANIFEST = 1n << 14n;

/** A release as the event carries it. */
function asTuple(release: Release): unknown[] {
  const fields = { ...release, dependencies: release.dependencies.map((d) => [d.productId, d.minVersion]) };
  return messageTypes.Release.map(({ name }) => fields[name as keyof typeof fields]);
}

function setAsTuple(set: SignerSet): unknown[] {
  const signers = set.signers.map((signer) => [signer.keyId, signer.scheme, signer.roles]);
  return [set.epoch, set.rootThreshold, set.releaseThreshold, set.revokeThreshold, signers];
}

function setHashOf(productId: string, set: SignerSet): string {
  const type = "tuple(uint32,uint8,uint8,uint8,tuple(address,uint8,uint8)[])";
  return keccak256(AbiCoder.defaultAbiCoder().encode(["bytes32", type], [productId, setAsTuple(set)]));
}

function structHashOf(release: Release): string {
  const { Release, Dependency } = messageTypes;
  return TypedDataEncoder.hashStruct("Release", { Release, Dependency }, release);
}

/** Call data with one of its words replaced. */
function withWord(data: string, offset: number, word: bigint): string {
  const at = 10 + 2 * offset;
  return data.slice(0, at) + word.toString(16).padStart(64, "0") + data.slice(at + 64);
}

function wordAt(data: string, offset: number): bigint {
  return BigInt(`0x${data.slice(10 + 2 * offset, 10 + 2 * offset + 64)}`);
}

describe("FirmwareRegistry", () => {
  describe("deployment", () => {
    it("says who it is", async () => {
      const { firmware, roles, chainId } = await loadFixture(deployFirmware);

      expect(await firmware.ROLE_REGISTRY()).to.equal(await roles.getAddress());
      expect(await firmware.version()).to.equal("0.1.0");
      const domain = await firmware.eip712Domain();
      expect([...domain]).to.deep.equal([
        "0x0f",
        "Touchstone FirmwareRegistry",
        "1",
        chainId,
        await firmware.getAddress(),
        ZeroHash,
        [],
      ]);
    });

    it("names the interfaces that it has", async () => {
      const { firmware } = await loadFixture(deployFirmware);
      const own = interfaceIdOf(IFirmwareRegistry__factory, IRegistry__factory);

      for (const interfaceId of [own, ...REGISTRY_INTERFACE_IDS]) {
        expect(await firmware.supportsInterface(interfaceId), interfaceId).to.equal(true);
      }
      expect(await firmware.supportsInterface("0xffffffff")).to.equal(false);
    });

    it("refuses a chain that cannot verify P-256", async () => {
      const before = await network.create({ override: { hardfork: "prague" } });
      const factory = await before.ethers.getContractFactory("FirmwareRegistry");

      await expect(factory.deploy(ZeroAddress)).to.be.revertedWithCustomError(factory, "P256PrecompileMissing");
    });
  });

  describe("createProduct", () => {
    const BOOT = encodeBytes32String("boot");

    it("creates the product of a vendor's hardware class and component, with its signers", async () => {
      const { firmware, actors, fleet, hardwareClass, signerSet } = await loadFixture(deployFirmware);
      const classId = await firmware.classIdOf(fleet, hardwareClass);
      const productId = await firmware.productIdOf(fleet, hardwareClass, BOOT);
      const create = firmware.connect(actors.maker);

      expect(await create.createProduct.staticCall(fleet, hardwareClass, BOOT, signerSet)).to.equal(productId);
      await expect(create.createProduct(fleet, hardwareClass, BOOT, signerSet))
        .to.emit(firmware, "ProductCreated")
        .withArgs(productId, fleet, classId, hardwareClass, BOOT, actors.maker.address, setAsTuple(signerSet));

      expect(structOf(await firmware.productOf(productId))).to.deep.equal({
        setHash: setHashOf(productId, signerSet),
        highest: 0n,
        releaseNonce: 0n,
        revokeNonce: 0n,
      });
    });

    it("derives the ids from the vendor and the names", async () => {
      const { firmware, fleet, hardwareClass, component } = await loadFixture(deployFirmware);
      const coder = AbiCoder.defaultAbiCoder();
      const classId = keccak256(coder.encode(["address", "bytes32"], [fleet, hardwareClass]));

      expect(await firmware.classIdOf(fleet, hardwareClass)).to.equal(classId);
      expect(await firmware.productIdOf(fleet, hardwareClass, component)).to.equal(
        keccak256(coder.encode(["bytes32", "bytes32"], [classId, component])),
      );
    });

    it("lets the governor, an admin and a maker create", async () => {
      const { firmware, actors, fleet, hardwareClass, signerSet } = await loadFixture(deployFirmware);

      for (const by of [actors.owner, actors.admin, actors.maker]) {
        const name = encodeBytes32String(by.address.slice(0, 20));
        await expect(firmware.connect(by).createProduct(fleet, hardwareClass, name, signerSet)).to.emit(
          firmware,
          "ProductCreated",
        );
      }
    });

    it("takes the same names from another vendor for another product", async () => {
      const { firmware, actors, hardwareClass, component, productId, signerSet } = await loadFixture(deployFirmware);
      const vendor = actors.stranger.address;
      const other = await firmware.productIdOf(vendor, hardwareClass, component);

      await firmware.connect(actors.stranger).createProduct(vendor, hardwareClass, component, signerSet);

      expect(other).to.not.equal(productId);
      expect((await firmware.productOf(other)).setHash).to.equal(setHashOf(other, signerSet));
    });

    for (const [caller, name] of wrongCallers) {
      it(`refuses ${name}`, async () => {
        const { firmware, actors, fleet, hardwareClass, signerSet } = await loadFixture(deployFirmware);

        await expect(firmware.connect(actors[caller]).createProduct(fleet, hardwareClass, BOOT, signerSet))
          .to.be.revertedWithCustomError(firmware, "CallerLacksPermission")
          .withArgs(fleet, actors[caller].address, PUBLISH_MANIFEST);
      });
    }

    it("refuses a product that exists", async () => {
      const { firmware, actors, fleet, hardwareClass, component, productId, signerSet } =
        await loadFixture(deployFirmware);

      await expect(firmware.connect(actors.owner).createProduct(fleet, hardwareClass, component, signerSet))
        .to.be.revertedWithCustomError(firmware, "ProductExists")
        .withArgs(productId);
    });

    describe("signer set", () => {
      const key = (keyId: bigint): Pick<Key, "id" | "scheme"> => ({
        id: getAddress(toBeHex(keyId, 20)),
        scheme: 0,
      });
      const many = (count: number, roles = 7): SignerSet =>
        makeSignerSet(
          Array.from({ length: count }, (_, i) => ({ key: key(0x10000n + BigInt(i)), roles })),
          { root: 1, release: 1, revoke: 1 },
        );
      const create = async (signerSet: SignerSet) => {
        const { firmware, actors, fleet, hardwareClass } = await loadFixture(deployFirmware);
        return { firmware, sent: firmware.connect(actors.maker).createProduct(fleet, hardwareClass, BOOT, signerSet) };
      };

      it("takes 32 signers, all needed, from the lowest id that is not reserved", async () => {
        const { firmware, sent } = await create({
          ...many(32),
          rootThreshold: 32,
          releaseThreshold: 32,
          revokeThreshold: 32,
        });
        await expect(sent).to.emit(firmware, "ProductCreated");
      });

      for (const count of [0, 33]) {
        it(`refuses ${count} signers`, async () => {
          const { firmware, sent } = await create(many(count));
          await expect(sent).to.be.revertedWithCustomError(firmware, "SignerSetInvalid").withArgs(count, 1);
        });
      }

      for (const epoch of [0, 2]) {
        it(`refuses to start at epoch ${epoch}`, async () => {
          const { firmware, sent } = await create({ ...many(1), epoch });
          await expect(sent).to.be.revertedWithCustomError(firmware, "SignerSetInvalid").withArgs(1, epoch);
        });
      }

      for (const keyId of [0n, 0xffffn]) {
        it(`refuses the reserved id ${keyId}`, async () => {
          const set = makeSignerSet([{ key: key(keyId), roles: 7 }], { root: 1, release: 1, revoke: 1 });
          const { firmware, sent } = await create(set);
          await expect(sent)
            .to.be.revertedWithCustomError(firmware, "IdReserved")
            .withArgs(getAddress(toBeHex(keyId, 20)));
        });
      }

      it("refuses a signer that stands twice", async () => {
        const set = many(2);
        set.signers[1]!.keyId = set.signers[0]!.keyId;
        const { firmware, sent } = await create(set);
        await expect(sent)
          .to.be.revertedWithCustomError(firmware, "SignersNotAscending")
          .withArgs(set.signers[0]!.keyId, set.signers[0]!.keyId);
      });

      it("refuses signers in descending order", async () => {
        const set = many(2);
        set.signers.reverse();
        const { firmware, sent } = await create(set);
        await expect(sent)
          .to.be.revertedWithCustomError(firmware, "SignersNotAscending")
          .withArgs(set.signers[0]!.keyId, set.signers[1]!.keyId);
      });

      for (const roles of [0, 8, 0x87]) {
        it(`refuses a signer with the roles 0x${roles.toString(16)}`, async () => {
          const set = many(2);
          set.signers[1]!.roles = roles;
          const { firmware, sent } = await create(set);
          await expect(sent)
            .to.be.revertedWithCustomError(firmware, "SignerRolesInvalid")
            .withArgs(set.signers[1]!.keyId, roles);
        });
      }

      const thresholds = [
        ["rootThreshold", QUORUM.Root],
        ["releaseThreshold", QUORUM.Release],
        ["revokeThreshold", QUORUM.Revoke],
      ] as const;
      for (const [field, quorum] of thresholds) {
        it(`refuses a ${field} of 0`, async () => {
          const { firmware, sent } = await create({ ...many(3), [field]: 0 });
          await expect(sent).to.be.revertedWithCustomError(firmware, "ThresholdInvalid").withArgs(quorum, 0, 3);
        });

        it(`refuses a ${field} above the number of signers with that role`, async () => {
          const set = { ...many(3), [field]: 3 };
          // The third signer has the two other roles.
          set.signers[2]!.roles = 7 & ~(1 << quorum);
          const { firmware, sent } = await create(set);
          await expect(sent).to.be.revertedWithCustomError(firmware, "ThresholdInvalid").withArgs(quorum, 3, 2);
        });
      }

      it("refuses words that do not fit their types", async () => {
        const { firmware, actors, fleet, hardwareClass, signerSet } = await loadFixture(deployFirmware);
        const data = firmware.interface.encodeFunctionData("createProduct", [fleet, hardwareClass, BOOT, signerSet]);
        // Words: 4 arguments, then the set with its 4 numbers, the offset and number of its signers, and 3 for each.
        const words = { epoch: 4, rootThreshold: 5, releaseThreshold: 6, revokeThreshold: 7, keyId: 10, roles: 12 };

        for (const [name, word] of Object.entries(words)) {
          const wide = withWord(data, 32 * word, wordAt(data, 32 * word) + (1n << 200n));
          await expect(actors.maker.sendTransaction({ to: firmware, data: wide }), name).to.be.revertedWithoutReason(
            ethers,
          );
        }
        await expect(
          actors.maker.sendTransaction({ to: firmware, data: withWord(data, 32 * 11, 3n) }),
          "scheme",
        ).to.be.revertedWithoutReason(ethers);
      });
    });
  });

  describe("publish", () => {
    it("authorises what the Release quorum signed, whoever sends it", async () => {
      const suite = await loadFixture(deployFirmware);
      const { firmware, productId, keys } = suite;
      const release = await makeRelease(suite, {
        version: V1,
        heads: 0b10,
        dependencies: [{ productId: id("boot"), minVersion: 7n }],
      });
      const releaseHash = structHashOf(release);

      await expect(publish(suite, release))
        .to.emit(firmware, "ReleasePublished")
        .withArgs(
          productId,
          V1,
          release.imageDigest,
          releaseHash,
          maskOf(suite, [keys.engineer, keys.hsm]),
          asTuple(release),
        );

      const record = {
        version: V1,
        securityVersion: 3n,
        size: 412_160n,
        status: BigInt(STATUS.Live),
        channels: 0b11n,
        publishedAt: await now(),
        imageDigest: release.imageDigest,
        releaseHash,
      };
      expect(structOf(await firmware.releaseOf(productId, V1))).to.deep.equal(record);
      expect(structOf(await firmware.latest(productId, 1))).to.deep.equal(record);
      expect(await firmware.headOf(productId, 0)).to.equal(0n);
      expect(await firmware.headOf(productId, 1)).to.equal(V1);
      const product = await firmware.productOf(productId);
      expect([product.highest, product.releaseNonce, product.revokeNonce]).to.deep.equal([V1, 1n, 0n]);
      expect([...(await firmware.verify(productId, release.imageDigest, 412_160))]).to.deep.equal([
        true,
        BigInt(REASON.Authorised),
        V1,
      ]);
    });

    it("takes the signatures of every kind of key, and more of them than needed", async () => {
      const suite = await loadFixture(deployFirmware);
      const { engineer, wallet, hsm, secureElement } = suite.keys;

      await expect(publish(suite, await makeRelease(suite, { version: V1 }), [wallet, secureElement])).to.emit(
        suite.firmware,
        "ReleasePublished",
      );
      const release = await makeRelease(suite, { version: V2 });
      const all = [engineer, wallet, hsm, secureElement];
      await expect(publish(suite, release, all))
        .to.emit(suite.firmware, "ReleasePublished")
        .withArgs(
          suite.productId,
          V2,
          release.imageDigest,
          structHashOf(release),
          maskOf(suite, all),
          asTuple(release),
        );
    });

    for (const count of [0, 1, 8]) {
      it(`hashes a release with ${count} dependencies as EIP-712 says`, async () => {
        const suite = await loadFixture(deployFirmware);
        const release = await makeRelease(suite, {
          version: 0x0102030405060708n,
          securityVersion: 0x090a0b0c,
          manifestDigest: id("manifest"),
          channels: 0xb5,
          heads: 0x21,
          fromMin: 5n,
          fromMax: 0x1122334455667788n,
          startAt: 0xa1a2a3a4a5n,
          dependencies: Array.from({ length: count }, (_, i) => ({ productId: id(`part ${i}`), minVersion: i })),
        });

        expect(await suite.firmware.hashRelease(release)).to.equal(structHashOf(release));
      });
    }

    it("publishes and announces in one transaction", async () => {
      const suite = await loadFixture(deployFirmware);
      const { firmware, actors, fleet, hardwareClass, component, productId, keys, signerSet } = suite;
      const release = await makeRelease(suite, { version: V1 });
      const proofs = await signAll(suite, releaseMessage(suite.firmwareDomain, release), [keys.wallet, keys.hsm]);
      const uri = "https://firmware.example.com/1.bin";

      const sent = firmware
        .connect(actors.maker)
        .multicall([
          firmware.interface.encodeFunctionData("publish", [release, signerSet, proofs]),
          firmware.interface.encodeFunctionData("announce", [fleet, hardwareClass, component, V1, uri]),
        ]);

      await expect(sent).to.emit(firmware, "ReleasePublished");
      await expect(sent).to.emit(firmware, "ReleaseAnnounced").withArgs(productId, V1, actors.maker.address, uri);
    });

    it("makes the release the head of exactly the channels named", async () => {
      const suite = await loadFixture(deployFirmware);
      const heads = async (): Promise<bigint[]> =>
        Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map((channel) => suite.firmware.headOf(suite.productId, channel)));

      await publish(suite, await makeRelease(suite, { version: V1, channels: 0xff, heads: 0xff }));
      expect(await heads()).to.deep.equal([V1, V1, V1, V1, V1, V1, V1, V1]);

      await publish(suite, await makeRelease(suite, { version: V2, channels: 0xff, heads: 0b01100101 }));
      expect(await heads()).to.deep.equal([V2, V1, V2, V1, V1, V2, V2, V1]);

      await publish(suite, await makeRelease(suite, { version: V3, channels: 0, heads: 0 }));
      expect(await heads()).to.deep.equal([V2, V1, V2, V1, V1, V2, V2, V1]);
    });

    it("takes what is just within the limits", async () => {
      const suite = await loadFixture(deployFirmware);
      const release = await makeRelease(suite, {
        version: 1n,
        securityVersion: 2n ** 32n - 1n,
        size: 2n ** 40n - 1n,
        bootDigest: ZeroHash,
        fromMin: 9n,
        fromMax: 9n,
        hwRevMin: 65_535,
        hwRevMax: 65_535,
        startBps: 10_000,
        dependencies: Array.from({ length: 8 }, () => ({ productId: id("part"), minVersion: 1 })),
      });

      await publish(suite, release);
      await publish(suite, await makeRelease(suite, { version: 2n ** 64n - 1n, securityVersion: 0, size: 1 }));

      const records = await Promise.all([1n, 2n ** 64n - 1n].map((v) => suite.firmware.releaseOf(suite.productId, v)));
      expect(records.map(({ version, securityVersion, size }) => [version, securityVersion, size])).to.deep.equal([
        [1n, 2n ** 32n - 1n, 2n ** 40n - 1n],
        [2n ** 64n - 1n, 0n, 1n],
      ]);
    });

    it("takes the same image in two products", async () => {
      const suite = await loadFixture(deployReleases);
      const { firmware, actors, fleet, hardwareClass, signerSet } = suite;
      const boot = encodeBytes32String("boot");
      await firmware.connect(actors.maker).createProduct(fleet, hardwareClass, boot, signerSet);
      const other = { ...suite, productId: await firmware.productIdOf(fleet, hardwareClass, boot) };

      await publish(other, await makeRelease(other, { version: V1 }));

      expect((await firmware.verify(other.productId, id(`image ${V1}`), 412_160)).ok).to.equal(true);
    });

    describe("release rules", () => {
      const refused = async (options: Partial<Release>) => {
        const suite = await loadFixture(deployReleases);
        return { suite, sent: publish(suite, await makeRelease(suite, { version: V3, ...options })) };
      };

      it("refuses a product that does not exist", async () => {
        const { suite, sent } = await refused({ productId: id("nothing") });
        await expect(sent).to.be.revertedWithCustomError(suite.firmware, "ProductUnknown").withArgs(id("nothing"));
      });

      for (const [version, name] of [
        [0n, "0"],
        [V1, "an earlier one"],
        [V2, "the present one"],
      ] as const) {
        it(`refuses ${name} as the version`, async () => {
          const { suite, sent } = await refused({ version, imageDigest: id("new") });
          await expect(sent)
            .to.be.revertedWithCustomError(suite.firmware, "VersionNotNewer")
            .withArgs(suite.productId, V2, version);
        });
      }

      it("refuses version 0 as the first", async () => {
        const suite = await loadFixture(deployFirmware);
        await expect(publish(suite, await makeRelease(suite, { version: 0n })))
          .to.be.revertedWithCustomError(suite.firmware, "VersionNotNewer")
          .withArgs(suite.productId, 0, 0);
      });

      it("refuses a release without a digest", async () => {
        const { suite, sent } = await refused({ imageDigest: ZeroHash });
        await expect(sent).to.be.revertedWithCustomError(suite.firmware, "DigestMissing").withArgs();
      });

      it("refuses an image that has a version already", async () => {
        const { suite, sent } = await refused({ imageDigest: id(`image ${V1}`) });
        await expect(sent)
          .to.be.revertedWithCustomError(suite.firmware, "DigestUsed")
          .withArgs(suite.productId, id(`image ${V1}`), V1);
      });

      it("refuses an image that was revoked under its old version", async () => {
        const suite = await loadFixture(deployReleases);
        await setStatus(suite, await makeStatusChange(suite, { version: V1, status: STATUS.Revoked }));

        await expect(publish(suite, await makeRelease(suite, { version: V3, imageDigest: id(`image ${V1}`) })))
          .to.be.revertedWithCustomError(suite.firmware, "DigestUsed")
          .withArgs(suite.productId, id(`image ${V1}`), V1);
      });

      for (const size of [0n, 2n ** 40n, 2n ** 64n - 1n]) {
        it(`refuses a size of ${size}`, async () => {
          const { suite, sent } = await refused({ size });
          await expect(sent).to.be.revertedWithCustomError(suite.firmware, "SizeInvalid").withArgs(size);
        });
      }

      it("refuses to be the head of a channel that it does not list", async () => {
        const { suite, sent } = await refused({ channels: 0b110, heads: 0b011 });
        await expect(sent).to.be.revertedWithCustomError(suite.firmware, "ChannelsInvalid").withArgs(0b110, 0b011);
      });

      it("refuses an empty range of versions to update from", async () => {
        const { suite, sent } = await refused({ fromMin: 2n ** 64n - 1n, fromMax: 2n ** 64n - 2n });
        await expect(sent)
          .to.be.revertedWithCustomError(suite.firmware, "RangeInvalid")
          .withArgs(2n ** 64n - 1n, 2n ** 64n - 2n);
      });

      it("refuses an empty range of hardware revisions", async () => {
        const { suite, sent } = await refused({ hwRevMin: 3, hwRevMax: 2 });
        await expect(sent).to.be.revertedWithCustomError(suite.firmware, "RangeInvalid").withArgs(3, 2);
      });

      it("refuses to start with more than all devices", async () => {
        const { suite, sent } = await refused({ startBps: 10_001 });
        await expect(sent).to.be.revertedWithCustomError(suite.firmware, "RolloutInvalid").withArgs(10_001);
      });

      it("refuses 9 dependencies", async () => {
        const dependencies = Array.from({ length: 9 }, () => ({ productId: id("part"), minVersion: 1 }));
        const { suite, sent } = await refused({ dependencies });
        await expect(sent).to.be.revertedWithCustomError(suite.firmware, "DependenciesInvalid").withArgs(9);
      });

      for (const epoch of [0, 2]) {
        it(`refuses a message of epoch ${epoch} in epoch 1`, async () => {
          const { suite, sent } = await refused({ epoch });
          await expect(sent)
            .to.be.revertedWithCustomError(suite.firmware, "SignerEpochStale")
            .withArgs(suite.productId, 1, epoch);
        });
      }

      it("takes the message at its deadline and refuses it a second later", async () => {
        const suite = await loadFixture(deployFirmware);
        const deadline = (await now()) + DAY;
        const [first, second] = [
          await makeRelease(suite, { version: V1, deadline }),
          await makeRelease(suite, { version: V2, deadline }),
        ];

        await networkHelpers.time.setNextBlockTimestamp(deadline);
        await publish(suite, first);
        await networkHelpers.time.setNextBlockTimestamp(deadline + 1n);
        await expect(publish(suite, second))
          .to.be.revertedWithCustomError(suite.firmware, "DeadlinePassed")
          .withArgs(deadline);
      });

      it("refuses a message that was used", async () => {
        const suite = await loadFixture(deployFirmware);
        const release = await makeRelease(suite, { version: V1 });
        await publish(suite, release);

        await expect(publish(suite, release))
          .to.be.revertedWithCustomError(suite.firmware, "VersionNotNewer")
          .withArgs(suite.productId, V1, V1);
      });
    });

    describe("signatures", () => {
      it("refuses another signer set", async () => {
        const suite = await loadFixture(deployFirmware);
        const { firmware, productId, keys, signerSet } = suite;
        const release = await makeRelease(suite, { version: V1 });
        const proofs = await signAll(suite, releaseMessage(suite.firmwareDomain, release), [keys.engineer]);
        const weaker = [
          { ...signerSet, releaseThreshold: 1 },
          { ...signerSet, epoch: 2 },
          { ...signerSet, signers: signerSet.signers.slice(1) },
          { ...signerSet, signers: signerSet.signers.map((signer) => ({ ...signer, roles: 7 })) },
        ];

        for (const set of weaker) {
          await expect(firmware.publish(release, set, proofs))
            .to.be.revertedWithCustomError(firmware, "SignerSetMismatch")
            .withArgs(productId, setHashOf(productId, signerSet), setHashOf(productId, set));
        }
      });

      it("refuses the signer set of another product, signers and all", async () => {
        const suite = await loadFixture(deployFirmware);
        const { firmware, actors, hardwareClass, component, productId, keys } = suite;
        const vendor = actors.stranger.address;
        const own = makeSignerSet([{ key: keys.officer, roles: 7 }], { root: 1, release: 1, revoke: 1 });
        await firmware.connect(actors.stranger).createProduct(vendor, hardwareClass, component, own);
        const release = await makeRelease(suite, { version: V1 });
        const proof = await keys.officer.prove(releaseMessage(suite.firmwareDomain, release));

        await expect(firmware.publish(release, own, [{ signer: 0, proof }]))
          .to.be.revertedWithCustomError(firmware, "SignerSetMismatch")
          .withArgs(productId, setHashOf(productId, suite.signerSet), setHashOf(productId, own));
      });

      for (const names of [[], ["engineer"]] as (keyof SignerKeys)[][]) {
        it(`refuses ${names.length} of 2 signatures`, async () => {
          const suite = await loadFixture(deployFirmware);
          const keys = names.map((name) => suite.keys[name]);
          await expect(publish(suite, await makeRelease(suite, { version: V1 }), keys))
            .to.be.revertedWithCustomError(suite.firmware, "ThresholdNotMet")
            .withArgs(QUORUM.Release, names.length, 2);
        });
      }

      it("refuses a signature that stands twice, and signatures in descending order", async () => {
        const suite = await loadFixture(deployFirmware);
        const { firmware, keys, signerSet } = suite;
        const release = await makeRelease(suite, { version: V1 });
        const message = releaseMessage(suite.firmwareDomain, release);
        const [first, second] = (await signAll(suite, message, [keys.engineer, keys.hsm])) as [
          SignerProof,
          SignerProof,
        ];

        await expect(firmware.publish(release, signerSet, [first, first]))
          .to.be.revertedWithCustomError(firmware, "ProofsNotAscending")
          .withArgs(first.signer, first.signer);
        await expect(firmware.publish(release, signerSet, [second, first]))
          .to.be.revertedWithCustomError(firmware, "ProofsNotAscending")
          .withArgs(second.signer, first.signer);
      });

      for (const index of [5, 255]) {
        it(`refuses a signature of signer ${index} of 5`, async () => {
          const suite = await loadFixture(deployFirmware);
          const { firmware, keys, signerSet } = suite;
          const release = await makeRelease(suite, { version: V1 });
          const [proof] = await signAll(suite, releaseMessage(suite.firmwareDomain, release), [keys.engineer]);

          await expect(firmware.publish(release, signerSet, [proof!, { ...proof!, signer: index }]))
            .to.be.revertedWithCustomError(firmware, "SignerUnknown")
            .withArgs(index);
        });
      }

      it("refuses a signature of a signer that does not release, beside enough that do", async () => {
        const suite = await loadFixture(deployFirmware);
        const { engineer, hsm, officer } = suite.keys;
        await expect(publish(suite, await makeRelease(suite, { version: V1 }), [engineer, hsm, officer]))
          .to.be.revertedWithCustomError(suite.firmware, "SignerNotInQuorum")
          .withArgs(officer.id, QUORUM.Release);
      });

      it("refuses a signature under another signer's index", async () => {
        const suite = await loadFixture(deployFirmware);
        const { firmware, keys, signerSet } = suite;
        const release = await makeRelease(suite, { version: V1 });
        const message = releaseMessage(suite.firmwareDomain, release);
        const proofs = await signAll(suite, message, [keys.engineer, keys.wallet]);
        const swapped = proofs.map(({ signer }, i) => ({ signer, proof: proofs[1 - i]!.proof }));

        await expect(firmware.publish(release, signerSet, swapped))
          .to.be.revertedWithCustomError(firmware, "KeyProofInvalid")
          .withArgs(signerSet.signers[swapped[0]!.signer]!.keyId, messageDigest(message));
      });

      for (const [kind, name] of signerKinds) {
        it(`refuses every wrong signature of ${kind}, even beside enough right ones`, async () => {
          const suite = await loadFixture(deployFirmware);
          const { firmware, actors, keys, signerSet } = suite;
          const key = keys[name];
          const release = await makeRelease(suite, {
            version: V1,
            heads: 0b10,
            dependencies: [{ productId: id("part"), minVersion: 1 }],
          });
          const message = releaseMessage(suite.firmwareDomain, release);
          const others = [keys.engineer, keys.wallet, keys.hsm].filter((other) => other !== key);
          const right = await signAll(suite, message, others);
          const wrong = await wrongProofs({
            key,
            wrongKey: name === "engineer" || name === "wallet" ? await accountKey(actors.stranger) : createP256Key(),
            message,
            alter: { dependencies: [{ productId: id("part"), minVersion: 2 }] },
          });

          expect(wrong).to.have.length(5 + messageTypes.Release.length);
          for (const { name: why, proof } of wrong) {
            const proofs = [...right, { signer: indexOf(suite, key), proof }].sort((a, b) => a.signer - b.signer);
            await expect(firmware.publish(release, signerSet, proofs), why)
              .to.be.revertedWithCustomError(firmware, "KeyProofInvalid")
              .withArgs(key.id, messageDigest(message));
          }
        });
      }

      it("refuses a release with dependencies left out, put in or put in another order", async () => {
        const suite = await loadFixture(deployFirmware);
        const { firmware, keys, signerSet } = suite;
        const [a, b] = ["a", "b"].map((name) => ({ productId: id(name), minVersion: 1 })) as [
          { productId: string; minVersion: number },
          { productId: string; minVersion: number },
        ];
        const release = await makeRelease(suite, { version: V1, dependencies: [a, b] });
        const by = [keys.engineer, keys.hsm];
        const proofs = await signAll(suite, releaseMessage(suite.firmwareDomain, release), by);
        const first = signerSet.signers[proofs[0]!.signer]!.keyId;

        for (const dependencies of [[a], [b, a], [a, b, b]]) {
          const altered = { ...release, dependencies };
          await expect(firmware.publish(altered, signerSet, proofs))
            .to.be.revertedWithCustomError(firmware, "KeyProofInvalid")
            .withArgs(first, messageDigest(releaseMessage(suite.firmwareDomain, altered)));
        }
      });
    });
  });

  describe("announce", () => {
    const URI = "https://firmware.example.com/sensor-a2/1.0.0.bin";

    it("says where the file can be had, as often as wanted", async () => {
      const suite = await loadFixture(deployReleases);
      const { firmware, actors, fleet, hardwareClass, component, productId } = suite;

      for (const [by, uri] of [
        [actors.owner, URI],
        [actors.admin, `${URI}?mirror=2`],
        [actors.maker, ""],
      ] as const) {
        await expect(firmware.connect(by).announce(fleet, hardwareClass, component, V1, uri))
          .to.emit(firmware, "ReleaseAnnounced")
          .withArgs(productId, V1, by.address, uri);
      }
    });

    it("says so of a release that was taken out of circulation too", async () => {
      const suite = await loadFixture(deployReleases);
      const { firmware, actors, fleet, hardwareClass, component, productId } = suite;
      await setStatus(suite, await makeStatusChange(suite, { version: V1, status: STATUS.Revoked }));

      await expect(firmware.connect(actors.maker).announce(fleet, hardwareClass, component, V1, URI))
        .to.emit(firmware, "ReleaseAnnounced")
        .withArgs(productId, V1, actors.maker.address, URI);
    });

    for (const [caller, name] of wrongCallers) {
      it(`refuses ${name}`, async () => {
        const { firmware, actors, fleet, hardwareClass, component } = await loadFixture(deployReleases);

        await expect(firmware.connect(actors[caller]).announce(fleet, hardwareClass, component, V1, URI))
          .to.be.revertedWithCustomError(firmware, "CallerLacksPermission")
          .withArgs(fleet, actors[caller].address, PUBLISH_MANIFEST);
      });
    }

    for (const [version, name] of [
      [0n, "version 0"],
      [V3, "a version"],
    ] as const) {
      it(`refuses ${name} that was never published`, async () => {
        const suite = await loadFixture(deployReleases);
        const { firmware, actors, fleet, hardwareClass, component, productId } = suite;

        await expect(firmware.connect(actors.maker).announce(fleet, hardwareClass, component, version, URI))
          .to.be.revertedWithCustomError(firmware, "ReleaseUnknown")
          .withArgs(productId, version);
      });
    }

    it("refuses a release of another component", async () => {
      const { firmware, actors, fleet, hardwareClass } = await loadFixture(deployReleases);
      const radio = encodeBytes32String("radio");

      await expect(firmware.connect(actors.maker).announce(fleet, hardwareClass, radio, V1, URI))
        .to.be.revertedWithCustomError(firmware, "ReleaseUnknown")
        .withArgs(await firmware.productIdOf(fleet, hardwareClass, radio), V1);
    });
  });

  describe("verify", () => {
    const IMAGE = id(`image ${V1}`);

    it("authorises a live release, whether a head or not", async () => {
      const suite = await loadFixture(deployReleases);
      await publish(suite, await makeRelease(suite, { version: V3, channels: 0b100011, heads: 0b100011 }));

      for (const version of [V1, V2, V3]) {
        const answer = await suite.firmware.verify(suite.productId, id(`image ${version}`), 412_160);
        expect([...answer]).to.deep.equal([true, BigInt(REASON.Authorised), version]);
      }
    });

    it("knows no release of a product that does not exist", async () => {
      const { firmware } = await loadFixture(deployReleases);
      const answer = await firmware.verify(id("nothing"), IMAGE, 412_160);
      expect([...answer]).to.deep.equal([false, BigInt(REASON.ProductUnknown), 0n]);
    });

    for (const [digest, name] of [
      [id("another image"), "the digest of another image"],
      [ZeroHash, "the digest 0"],
    ] as const) {
      it(`knows no release with ${name}`, async () => {
        const { firmware, productId } = await loadFixture(deployReleases);
        const answer = await firmware.verify(productId, digest, 412_160);
        expect([...answer]).to.deep.equal([false, BigInt(REASON.DigestUnknown), 0n]);
      });
    }

    for (const size of [0n, 412_159n, 412_160n + 2n ** 40n]) {
      it(`refuses a file of ${size} bytes where the release has 412160`, async () => {
        const { firmware, productId } = await loadFixture(deployReleases);
        const answer = await firmware.verify(productId, IMAGE, size);
        expect([...answer]).to.deep.equal([false, BigInt(REASON.SizeMismatch), V1]);
      });
    }

    for (const [status, reason, name] of [
      [STATUS.Yanked, REASON.Yanked, "yanked"],
      [STATUS.Revoked, REASON.Revoked, "revoked"],
    ] as const) {
      it(`refuses a ${name} release, and looks at its size first`, async () => {
        const suite = await loadFixture(deployReleases);
        const { firmware, productId } = suite;
        await setStatus(suite, await makeStatusChange(suite, { version: V1, status }));

        expect([...(await firmware.verify(productId, IMAGE, 412_160))]).to.deep.equal([false, BigInt(reason), V1]);
        expect([...(await firmware.verify(productId, IMAGE, 1))]).to.deep.equal([
          false,
          BigInt(REASON.SizeMismatch),
          V1,
        ]);
        expect((await firmware.verify(productId, id(`image ${V2}`), 412_160)).ok).to.equal(true);
      });
    }
  });

  describe("records", () => {
    const NO_RELEASE = {
      version: 0n,
      securityVersion: 0n,
      size: 0n,
      status: BigInt(STATUS.None),
      channels: 0n,
      publishedAt: 0n,
      imageDigest: ZeroHash,
      releaseHash: ZeroHash,
    };

    it("are all zero for what is not there", async () => {
      const { firmware, productId } = await loadFixture(deployReleases);

      expect([...(await firmware.productOf(id("nothing")))]).to.deep.equal([ZeroHash, 0n, 0n, 0n]);
      expect(structOf(await firmware.releaseOf(productId, V3))).to.deep.equal(NO_RELEASE);
      expect(structOf(await firmware.releaseOf(productId, 0n))).to.deep.equal(NO_RELEASE);
      expect(structOf(await firmware.releaseOf(id("nothing"), V1))).to.deep.equal(NO_RELEASE);
      // Channel 9 would be 5, which has a head, if only its lowest bits counted.
      for (const channel of [2, 7, 8, 9, 255]) {
        expect(await firmware.headOf(productId, channel)).to.equal(0n);
        expect(structOf(await firmware.latest(productId, channel))).to.deep.equal(NO_RELEASE);
      }
    });

    it("give the head of each channel as the latest", async () => {
      const { firmware, productId } = await loadFixture(deployReleases);
      const latest = await Promise.all([0, 1, 5].map((channel) => firmware.latest(productId, channel)));

      expect(latest.map(({ version, imageDigest }) => [version, imageDigest])).to.deep.equal(
        [V1, V2, V1].map((version) => [version, id(`image ${version}`)]),
      );
    });

    for (const [status, name] of [
      [STATUS.Yanked, "yanked"],
      [STATUS.Revoked, "revoked"],
    ] as const) {
      it(`give no latest where the head is ${name}`, async () => {
        const suite = await loadFixture(deployReleases);
        const { firmware, productId } = suite;
        await setStatus(suite, await makeStatusChange(suite, { version: V1, status }));

        expect(structOf(await firmware.latest(productId, 0))).to.deep.equal(NO_RELEASE);
        expect(await firmware.headOf(productId, 0)).to.equal(V1);
        expect((await firmware.releaseOf(productId, V1)).status).to.equal(status);
        expect((await firmware.latest(productId, 1)).version).to.equal(V2);
      });
    }
  });
});
