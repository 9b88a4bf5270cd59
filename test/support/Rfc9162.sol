// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Rfc9162
/// @notice The trees of RFC 9162, section 2.1, word for word: recursive, slow, and written apart from what is tested.
library Rfc9162 {
    /// @dev MTH(D[from:to]), section 2.1.1. `leaves` are hashed already.
    function root(bytes32[] memory leaves, uint256 from, uint256 to, bool sha) internal pure returns (bytes32) {
        uint256 n = to - from;
        if (n == 0) return sha ? sha256("") : keccak256("");
        if (n == 1) return leaves[from];
        uint256 k = _split(n);
        return _node(root(leaves, from, from + k, sha), root(leaves, from + k, to, sha), sha);
    }

    /// @dev PATH(m, D[from:to]), section 2.1.3.1; `m` counts from `from`.
    function path(
        bytes32[] memory leaves,
        uint256 m,
        uint256 from,
        uint256 to,
        bool sha
    ) internal pure returns (bytes32[] memory) {
        uint256 n = to - from;
        if (n == 1) return new bytes32[](0);
        uint256 k = _split(n);
        return
            m < k
                ? _append(path(leaves, m, from, from + k, sha), root(leaves, from + k, to, sha))
                : _append(path(leaves, m - k, from + k, to, sha), root(leaves, from, from + k, sha));
    }

    /// @dev PROOF(m, D[0:n]), section 2.1.4.1, for 0 < m < n.
    function consistency(
        bytes32[] memory leaves,
        uint256 m,
        uint256 n,
        bool sha
    ) internal pure returns (bytes32[] memory) {
        return _subproof(leaves, m, 0, n, true, sha);
    }

    function _subproof(
        bytes32[] memory leaves,
        uint256 m,
        uint256 from,
        uint256 to,
        bool isWhole,
        bool sha
    ) private pure returns (bytes32[] memory) {
        uint256 n = to - from;
        if (m == n) {
            bytes32[] memory none = new bytes32[](0);
            return isWhole ? none : _append(none, root(leaves, from, to, sha));
        }
        uint256 k = _split(n);
        return
            m <= k
                ? _append(_subproof(leaves, m, from, from + k, isWhole, sha), root(leaves, from + k, to, sha))
                : _append(_subproof(leaves, m - k, from + k, to, false, sha), root(leaves, from, from + k, sha));
    }

    /// @dev The largest power of two smaller than n.
    function _split(uint256 n) private pure returns (uint256 k) {
        k = 1;
        while (k * 2 < n) k *= 2;
    }

    function _node(bytes32 left, bytes32 right, bool sha) private pure returns (bytes32) {
        bytes memory preimage = abi.encodePacked(bytes1(0x01), left, right);
        return sha ? sha256(preimage) : keccak256(preimage);
    }

    function _append(bytes32[] memory list, bytes32 item) private pure returns (bytes32[] memory longer) {
        longer = new bytes32[](list.length + 1);
        for (uint256 i = 0; i < list.length; ++i) longer[i] = list[i];
        longer[list.length] = item;
    }
}
