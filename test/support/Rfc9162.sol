// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Rfc9162
/// @notice The trees of RFC 9162, section 2.1, word for word: recursive, slow, and written apart from what is tested.
library Rfc9162 {
    /// @dev A part of a tree beside what is proved, and the number of leaves to the left of the split that made it.
    struct Part {
        uint256 split;
        bytes32 root;
    }

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

    /// @dev What completes the leaves from `first` to before `end` to the root of D[from:to], which holds them: the roots of
    ///      the parts that splits make beside them, those of smaller splits first, the left of one split before the right.
    function range(
        bytes32[] memory leaves,
        uint256 first,
        uint256 end,
        uint256 from,
        uint256 to,
        bool sha
    ) internal pure returns (bytes32[] memory proof) {
        Part[] memory parts = _beside(leaves, first, end, from, to, sha);
        proof = new bytes32[](parts.length);
        for (uint256 i = 0; i < parts.length; ++i) proof[i] = parts[i].root;
    }

    function _beside(
        bytes32[] memory leaves,
        uint256 first,
        uint256 end,
        uint256 from,
        uint256 to,
        bool sha
    ) private pure returns (Part[] memory) {
        if (first <= from && end >= to) return new Part[](0);
        uint256 k = _split(to - from);
        uint256 middle = from + k;
        if (end <= middle) {
            Part memory right = Part({split: k, root: root(leaves, middle, to, sha)});
            return _insert(_beside(leaves, first, end, from, middle, sha), right);
        }
        if (first >= middle) {
            Part memory left = Part({split: k, root: root(leaves, from, middle, sha)});
            return _insert(_beside(leaves, first, end, middle, to, sha), left);
        }
        Part[] memory parts = _beside(leaves, first, end, from, middle, sha);
        Part[] memory rights = _beside(leaves, first, end, middle, to, sha);
        for (uint256 i = 0; i < rights.length; ++i) parts = _insert(parts, rights[i]);
        return parts;
    }

    /// @dev Behind all whose split is not larger.
    function _insert(Part[] memory parts, Part memory part) private pure returns (Part[] memory more) {
        more = new Part[](parts.length + 1);
        uint256 place = parts.length;
        for (; place > 0 && parts[place - 1].split > part.split; --place) more[place] = parts[place - 1];
        more[place] = part;
        for (uint256 i = 0; i < place; ++i) more[i] = parts[i];
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
