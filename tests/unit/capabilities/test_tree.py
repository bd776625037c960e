"""The tree over the ends of chains as it grows: at each size the root that all its leaves have."""

from capabilities.receipts import Tree, root
from protocol.receipt import leaf_hash


def test_a_tree_that_grew_leaf_by_leaf_has_the_root_of_all_its_leaves() -> None:
    leaves = [leaf_hash(f"run_{number}", number + 1, "sha256:" + 64 * "0") for number in range(300)]
    tree = Tree()
    for size, leaf in enumerate(leaves, start=1):
        tree = tree.grown(leaf)
        assert (tree.size, tree.root()) == (size, root(leaves[:size]))
        assert len(tree.peaks) == size.bit_count()
