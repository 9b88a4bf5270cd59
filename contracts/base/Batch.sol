// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Errors} from "@openzeppelin/contracts/utils/Errors.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";

import {IBatch} from "../interfaces/IBatch.sol";

/// @title Batch
/// @notice Many calls in one transaction: all or none (`multicall`), or all that can be made (`tryMulticall`).
abstract contract Batch is IBatch, Multicall {
    /// @inheritdoc IBatch
    function tryMulticall(bytes[] calldata calls) external override returns (bool[] memory done) {
        done = new bool[](calls.length);
        for (uint256 i = 0; i < calls.length; ++i) {
            // Safe: the code is this contract's own, so a call does what its sender could do by itself; no function of it
            // takes ether.
            // solhint-disable-next-line avoid-low-level-calls
            (bool success, bytes memory reason) = address(this).delegatecall(calls[i]);
            done[i] = success;
            if (success) continue;
            require(!_isBroken(reason), CallBroken(i));
            emit CallSkipped(i, bytes4(calls[i]), reason);
        }
    }

    /// @dev Whether a call failed without saying why; a batch within the batch says so of its own calls.
    function _isBroken(bytes memory reason) private pure returns (bool) {
        bytes4 selector = bytes4(reason);
        return reason.length < 4 || selector == CallBroken.selector || selector == Errors.FailedCall.selector;
    }
}
