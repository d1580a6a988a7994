//! The longest token a text begins with.

use std::collections::VecDeque;

use super::{super::room, NONE};

/// A trie whose nodes are numbered breadth first, so that the children of one are beside each other, and end where those of
/// the next begin.
pub(super) struct Trie {
    /// One more than there are, which is where the children of the last end.
    nodes: Vec<Node>,
    labels: Vec<u8>,
    /// The nodes of two bytes, which is where a search begins. Zero: there is none.
    seconds: Vec<u32>,
    bytes: [u32; 256],
}

/// So many labels are gone through one by one.
const FEW: usize = 6;

#[derive(Clone, Copy)]
struct Node {
    children: u32,
    token: u32,
}

/// A node that is not yet numbered's children: tokens `from..to` of the sorted ones begin with its `depth` bytes.
#[derive(Clone, Copy)]
struct Open {
    from: u32,
    to: u32,
    depth: u32,
    /// The longest token on the way to it.
    best: u32,
}

// === impl Trie ===

impl Trie {
    /// Of tokens by rank, and where each of them begins; `sorted` are their ranks by their bytes. Says for each of them the
    /// longest token that is a proper prefix of it, too.
    pub(super) fn new<'a>(token: impl Fn(u32) -> &'a [u8], sorted: &[u32]) -> (Self, Vec<u32>) {
        let mut shorter = room::list();
        shorter.resize(sorted.len(), NONE);
        let mut trie = Self { nodes: room::list(), labels: room::list(), seconds: room::list(), bytes: [NONE; 256] };
        trie.labels.push(0);
        trie.seconds.resize(1 << 16, 0);
        let root = Open { from: 0, to: sorted.len() as u32, depth: 0, best: NONE };
        let mut open = VecDeque::from(room::list());
        open.push_back(root);
        while let Some(Open { mut from, to, depth, mut best }) = open.pop_front() {
            let byte = |at: u32| token(sorted[at as usize])[depth as usize];
            let first = sorted[from as usize];
            let mut node = Node { children: trie.labels.len() as u32, token: NONE };
            if token(first).len() == depth as usize {
                shorter[first as usize] = best;
                (node.token, best) = (first, first);
                from += 1;
            }
            trie.nodes.push(node);
            while from < to {
                let label = byte(from);
                let end = (from + 1..to).find(|at| byte(*at) != label).unwrap_or(to);
                open.push_back(Open { from, to: end, depth: depth + 1, best });
                trie.labels.push(label);
                from = end;
            }
        }
        trie.nodes.push(Node { children: trie.labels.len() as u32, token: NONE });
        trie.shorten();
        (trie, shorter)
    }

    /// Fills in what a search begins with.
    fn shorten(&mut self) {
        for first in self.children(0) {
            let byte = self.labels[first];
            self.bytes[usize::from(byte)] = self.nodes[first].token;
            for second in self.children(first) {
                self.seconds[usize::from(byte) << 8 | usize::from(self.labels[second])] = second as u32;
            }
        }
    }

    fn children(&self, node: usize) -> std::ops::Range<usize> {
        self.nodes[node].children as usize..self.nodes[node + 1].children as usize
    }

    fn child(&self, node: usize, byte: u8) -> Option<usize> {
        let children = self.children(node);
        let labels = &self.labels[children.clone()];
        // Most nodes have one or two.
        let child = if labels.len() <= FEW {
            labels.iter().position(|label| *label == byte)
        } else {
            memchr::memchr(byte, labels)
        };
        child.map(|child| children.start + child)
    }

    /// The longest token `text` begins with. Every byte is a token, so there is one, if there is a text.
    pub(super) fn longest(&self, text: &[u8], steps: &mut u64) -> u32 {
        let [first, rest @ ..] = text else { return 0 };
        let mut best = self.bytes[usize::from(*first)];
        let [second, rest @ ..] = rest else { return best };
        let mut node = self.seconds[usize::from(*first) << 8 | usize::from(*second)] as usize;
        if node == 0 {
            return best;
        }
        *steps += 1;
        let found = |node: usize, best| if self.nodes[node].token == NONE { best } else { self.nodes[node].token };
        best = found(node, best);
        for byte in rest {
            *steps += 1;
            let Some(child) = self.child(node, *byte) else { break };
            node = child;
            best = found(node, best);
        }
        best
    }
}
