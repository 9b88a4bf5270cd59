// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IDataAnchor} from "../../contracts/interfaces/IDataAnchor.sol";
import {digestFor} from "./Digests.sol";

/// @dev What a device signs to append to its log.
function anchorDigest(address dataAnchor, IDataAnchor.Anchor memory anchor) view returns (bytes32) {
    bytes32 typeHash = keccak256(
        "Anchor(bytes32 logId,uint64 index,uint8 kind,uint8 tree,uint64 firstSeq,uint64 count,uint48 tFirst,uint48 tLast,uint64 supersedes,uint64 freshBlock,bytes32 freshHash,bytes32 root,uint40 deadline)"
    );
    return digestFor(dataAnchor, keccak256(abi.encode(typeHash, anchor)));
}
