//! The tree is that of RFC 6962: its known roots, and the definitions of its section 2.1 beside it.

use std::collections::BTreeMap;

use proptest::prelude::*;
use replay::tree::{
    Frontier, ProofError, ProofHashes, TreeNode, TreeQuery, TreeQueryError, check_consistency, check_inclusion,
};
use schema::digest::Digest;
use schema::position::Position;

/// The entries that implementations of Certificate Transparency are tested with, and the roots of their first n.
const KNOWN: [(&str, &str); 8] = [
    ("", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
    ("00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
    ("10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
    ("2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
    ("3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
    ("40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"),
    ("5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
    ("606162636465666768696a6b6c6d6e6f", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
];

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn at(position: usize) -> Position {
    (position as u64).into()
}

/// The root, word for word as RFC 6962 2.1 has it.
fn root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of(b""),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            Digest::of_parts([[1].as_slice(), root(left).as_bytes(), root(right).as_bytes()])
        }
    }
}

/// The audit path of leaf `m`, as 2.1.1 has it.
fn path(m: usize, leaves: &[Digest]) -> ProofHashes {
    if leaves.len() == 1 {
        return ProofHashes::new();
    }
    let k = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(k);
    let (mut proof, other) = if m < k { (path(m, left), right) } else { (path(m - k, right), left) };
    proof.push(root(other));
    proof
}

/// The consistency proof from the first `m` leaves, as 2.1.2 has it.
fn proof(m: usize, leaves: &[Digest], is_known: bool) -> ProofHashes {
    if m == leaves.len() {
        return if is_known { ProofHashes::new() } else { vec![root(leaves)] };
    }
    let k = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(k);
    let (mut proof, other) =
        if m <= k { (proof(m, left, is_known), right) } else { (proof(m - k, right, false), left) };
    proof.push(root(other));
    proof
}

/// Exactly the nodes that a question asks for, each computed from its leaves.
fn nodes(question: TreeQuery, leaves: &[Digest]) -> BTreeMap<TreeNode, Digest> {
    let computed = |node: TreeNode| {
        let (first, last) = node.span();
        let (first, last) = (usize::try_from(first.get()).unwrap(), usize::try_from(last.get()).unwrap());
        assert_eq!(last + 1 - first, 1 << node.level);
        (node, root(&leaves[first - 1..last]))
    };
    question.required_nodes().unwrap().into_iter().map(computed).collect()
}

fn answer(question: TreeQuery, leaves: &[Digest]) -> ProofHashes {
    question.answer(&nodes(question, leaves)).unwrap()
}

fn leaves(sizes: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Vec<Digest>> {
    prop::collection::vec(any::<[u8; 32]>().prop_map(Digest::from_bytes), sizes)
}

#[test]
fn the_roots_are_those_that_certificate_transparency_knows() {
    let mut frontier = Frontier::default();
    assert_eq!(frontier.root().to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (entry, expected) in KNOWN {
        frontier.push(Digest::of_parts([[0].as_slice(), &bytes(entry)]));
        assert_eq!(frontier.root().to_string(), expected, "the root of {}", frontier.size());
    }
}

#[test]
fn what_makes_no_sense_has_no_answer() {
    let far = Position::from(u64::MAX);
    for question in [
        TreeQuery::Inclusion { position: at(0), size: at(8) },
        TreeQuery::Inclusion { position: at(9), size: at(8) },
        TreeQuery::Inclusion { position: at(1), size: at(0) },
        TreeQuery::Inclusion { position: at(1), size: far },
        TreeQuery::Consistency { from: at(0), to: at(8) },
        TreeQuery::Consistency { from: at(9), to: at(8) },
        TreeQuery::Consistency { from: far, to: far },
        TreeQuery::Root { size: far },
    ] {
        assert_eq!(question.required_nodes(), Err(TreeQueryError::OutOfRange), "{question:?}");
        assert_eq!(question.answer(&BTreeMap::new()), Err(TreeQueryError::OutOfRange), "{question:?}");
    }
    let question = TreeQuery::Inclusion { position: at(1), size: at(2) };
    assert_eq!(question.answer(&BTreeMap::new()), Err(TreeQueryError::Missing));
}

#[test]
fn a_proof_about_nothing_shows_nothing() {
    let leaf = Digest::of(b"a leaf");
    assert_eq!(check_inclusion(&[], (at(1), leaf), (at(1), leaf)), Ok(()));
    assert_eq!(check_inclusion(&[], (at(1), leaf), (at(0), leaf)), Err(ProofError));
    assert_eq!(check_inclusion(&[], (at(0), leaf), (at(1), leaf)), Err(ProofError));
    assert_eq!(check_consistency(&[], (at(0), leaf), (at(1), leaf)), Err(ProofError));
    assert_eq!(check_consistency(&[], (at(1), leaf), (at(1), leaf)), Ok(()));
    assert_eq!(check_consistency(&[], (at(1), leaf), (at(1), Digest::of(b"another"))), Err(ProofError));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_edge_has_the_root_of_all_its_leaves_and_tells_of_every_subtree_once(leaves in leaves(0..=70)) {
        let (mut frontier, mut told) = (Frontier::default(), BTreeMap::new());
        for (index, leaf) in leaves.iter().enumerate() {
            frontier.push_with(*leaf, |node, hash| assert_eq!(told.insert(node, hash), None));
            prop_assert_eq!(frontier.size(), at(index + 1));
            prop_assert_eq!(frontier.root(), root(&leaves[..=index]));
        }
        let complete: usize = (0..8).map(|level| leaves.len() >> level).sum();
        prop_assert_eq!(told.len(), complete);
        for (node, hash) in told {
            let (first, last) = node.span();
            let (first, last) = (usize::try_from(first.get()).unwrap(), usize::try_from(last.get()).unwrap());
            prop_assert_eq!(hash, root(&leaves[first - 1..last]));
        }
        prop_assert_eq!(frontier, Frontier::over(leaves));
    }

    #[test]
    fn answers_are_those_of_the_rfc(leaves in leaves(1..=70), a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>()) {
        let size = a.index(leaves.len()) + 1;
        let position = b.index(size) + 1;
        let all = &leaves[..size];
        prop_assert_eq!(answer(TreeQuery::Root { size: at(size) }, &leaves), vec![root(all)]);
        let included = answer(TreeQuery::Inclusion { position: at(position), size: at(size) }, &leaves);
        prop_assert_eq!(&included, &path(position - 1, all));
        let consistent = answer(TreeQuery::Consistency { from: at(position), to: at(size) }, &leaves);
        prop_assert_eq!(&consistent, &proof(position, all, true));

        let (to, leaf) = ((at(size), root(all)), leaves[position - 1]);
        let from = (at(position), root(&leaves[..position]));
        prop_assert_eq!(check_inclusion(&included, to, (at(position), leaf)), Ok(()));
        prop_assert_eq!(check_consistency(&consistent, from, to), Ok(()));
    }

    #[test]
    fn a_proof_shows_one_thing_only(
        leaves in leaves(2..=70), a in any::<prop::sample::Index>(), bit in 0..256_usize, hash in any::<prop::sample::Index>(),
    ) {
        let (size, position) = (leaves.len(), a.index(leaves.len()) + 1);
        let to = (at(size), root(&leaves));
        let flipped = |digest: Digest| {
            let mut bytes = *digest.as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            Digest::from_bytes(bytes)
        };
        let proof = answer(TreeQuery::Inclusion { position: at(position), size: at(size) }, &leaves);
        let leaf = leaves[position - 1];
        let mut other = proof.clone();
        let chosen = hash.index(other.len());
        other[chosen] = flipped(other[chosen]);
        prop_assert_eq!(check_inclusion(&other, to, (at(position), leaf)), Err(ProofError));
        prop_assert_eq!(check_inclusion(&proof, to, (at(position), flipped(leaf))), Err(ProofError));
        prop_assert_eq!(check_inclusion(&proof[1..], to, (at(position), leaf)), Err(ProofError));
        prop_assert_eq!(check_inclusion(&proof, (to.0, flipped(to.1)), (at(position), leaf)), Err(ProofError));
        let elsewhere = position % size + 1;
        prop_assert_eq!(check_inclusion(&proof, to, (at(elsewhere), leaf)), Err(ProofError));

        let from = (at(position), root(&leaves[..position]));
        let proof = answer(TreeQuery::Consistency { from: at(position), to: at(size) }, &leaves);
        prop_assert_eq!(check_consistency(&proof, (from.0, flipped(from.1)), to), Err(ProofError));
        prop_assert_eq!(check_consistency(&proof, from, (to.0, flipped(to.1))), Err(ProofError));
        for chosen in 0..proof.len() {
            let mut other = proof.clone();
            other[chosen] = flipped(other[chosen]);
            prop_assert_eq!(check_consistency(&other, from, to), Err(ProofError));
        }
    }
}
