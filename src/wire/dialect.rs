use super::Layout;

/// The numbers of one protocol of this family: layout, versions, commands, limits.
///
/// A dialect is data, not a type parameter: the same compiled code speaks all of them. Four are given; one's own starts
/// from the nearest and changes what differs:
///
/// ```
/// use longlink::wire::Dialect;
///
/// const OURS: Dialect = Dialect { name: "ours", message: 301, max_frame: 4_096, ..Dialect::LONGLINK };
/// assert_eq!(OURS.reply_to(301), 1_000_000_301);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Dialect {
    /// What logs call it.
    pub name: &'static str,
    /// The order and width of the header fields.
    pub layout: Layout,
    /// The version written into every header.
    pub version: u32,
    /// The lowest version taken from a peer.
    pub lowest_version: u32,
    /// The highest version taken from a peer.
    pub highest_version: u32,

    /// The command of a heartbeat, from the connecting side.
    pub heartbeat: u32,
    /// The command of its answer. The connecting side takes [`Dialect::heartbeat`] as an answer too, so that a plain
    /// echo server is a live peer.
    pub heartbeat_reply: u32,
    /// The sequence of a heartbeat; `None` takes the next of the requests' counter. A peer's may be any: the answer
    /// repeats it.
    pub heartbeat_sequence: Option<u32>,
    /// The body of a heartbeat's answer is a counter (u32) that the application sets, such as the people in a room;
    /// otherwise it is empty.
    pub heartbeat_counter: bool,

    /// The frame that opens a link, if there is one.
    pub greeting: Option<Greeting>,
    /// What proves that an address just connected to is alive.
    pub proof: Proof,

    /// Request command → reply command, where [`Dialect::reply_rule`] does not hold.
    pub replies: &'static [(u32, u32)],
    /// The reply command of all others.
    pub reply_rule: ReplyRule,

    /// The command of an ordinary message.
    pub message: u32,
    /// The command of an ordinary push.
    pub push: u32,
    /// [`Dialect::push`] is a push whatever its sequence, and so is a frame that answers nothing. Otherwise a push is
    /// what has sequence 0.
    pub push_any_sequence: bool,
    /// The command of a frame whose body consists of whole frames.
    pub batch: Option<u32>,
    /// The command of a goaway, which says that no more will be sent and why.
    pub goaway: Option<u32>,

    /// The longest header taken from a peer, fixed fields included.
    pub max_header: u32,
    /// The longest frame, header included. What a receiver really takes is bounded by its buffer too.
    pub max_frame: u32,
}

/// The frame that opens a link, and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Greeting {
    /// The command, from the connecting side.
    pub command: u32,
    /// The command of the answer.
    pub reply: u32,
    /// The sequence; `None` takes the next of the requests' counter.
    pub sequence: Option<u32>,
    /// The body belongs to this crate. Otherwise it is the application's, on both sides.
    pub native: bool,
}

/// What proves that an address just connected to is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Proof {
    /// It answers a heartbeat, in every state.
    Heartbeat,
    /// It answers the greeting; before that it may answer nothing at all.
    Greeting,
}

/// How a reply's command follows from the request's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ReplyRule {
    /// The reply has the request's command.
    Same,
    /// The reply's command is so much higher, modulo 2³².
    Plus(u32),
}

/// Protocol limits: a header up to 256 bytes, a frame up to 64 KiB and room for its header.
const MAX_HEADER: u32 = 256;
const MAX_FRAME: u32 = 64 * 1_024 + MAX_HEADER;

impl Dialect {
    /// The native dialect, in the format that captures of the mobile messenger show: 16 bytes, version 1, heartbeat 6
    /// with sequence 0xFFFFFFFF, replies one thousand million above their requests.
    pub const LONGLINK: Self = Self {
        name: "longlink",
        layout: Layout::Wire16,
        version: 1,
        lowest_version: 1,
        highest_version: 1,
        heartbeat: 6,
        heartbeat_reply: 1_000_000_006,
        heartbeat_sequence: Some(0xFFFF_FFFF),
        heartbeat_counter: false,
        greeting: Some(Greeting { command: 205, reply: 1_000_000_205, sequence: Some(0xFFFF_FFFE), native: true }),
        proof: Proof::Heartbeat,
        replies: &[],
        reply_rule: ReplyRule::Plus(1_000_000_000),
        message: 237,
        push: 122,
        push_any_sequence: false,
        batch: None,
        goaway: Some(247),
        max_header: MAX_HEADER,
        max_frame: MAX_FRAME,
    };

    /// The default of Tencent Mars' open-source release: 20 bytes, version 200 as in all its samples, a request and its
    /// reply with the same command, frames up to 1 MiB.
    pub const MARS: Self = Self {
        name: "mars",
        layout: Layout::Wire20,
        version: 200,
        lowest_version: 200,
        highest_version: 200,
        heartbeat: 6,
        heartbeat_reply: 6,
        greeting: None,
        reply_rule: ReplyRule::Same,
        push: 10_001,
        goaway: None,
        max_frame: 1_024 * 1_024,
        ..Self::LONGLINK
    };

    /// goim over TCP: authentication 7 → 8 first, heartbeat 2 → 3 whose answer tells how many are online, 5 is a push
    /// whatever its sequence, 9 is a body of whole frames, bodies up to 4,096 bytes.
    pub const GOIM: Self = Self {
        name: "goim",
        heartbeat: 2,
        heartbeat_reply: 3,
        heartbeat_sequence: None,
        heartbeat_counter: true,
        greeting: Some(Greeting { command: 7, reply: 8, sequence: None, native: false }),
        proof: Proof::Greeting,
        replies: &[(2, 3), (7, 8), (12, 13), (14, 15), (16, 17)],
        reply_rule: ReplyRule::Same,
        message: 4,
        push: 5,
        push_any_sequence: true,
        batch: Some(9),
        goaway: None,
        max_frame: 16 + 4_096,
        ..Self::LONGLINK
    };

    /// Bilibili's live rooms: as goim, versions 0 to 3, where 2 (zlib) and 3 (brotli) mark a compressed body that
    /// inflates to whole frames: inflate it, then walk it with [`Batch`](super::Batch). Its server closes a link that was
    /// silent for 60 to 70 s; clients send a heartbeat every 30 s.
    pub const BILIBILI: Self = Self {
        name: "bilibili",
        lowest_version: 0,
        highest_version: 3,
        replies: &[(2, 3), (7, 8)],
        batch: None,
        max_frame: MAX_FRAME,
        ..Self::GOIM
    };

    /// The command of the reply to a request with `command`.
    #[must_use]
    pub fn reply_to(&self, command: u32) -> u32 {
        match (self.replies.iter().find(|(request, _)| *request == command), self.reply_rule) {
            (Some((_, reply)), _) => *reply,
            (None, ReplyRule::Same) => command,
            (None, ReplyRule::Plus(distance)) => command.wrapping_add(distance),
        }
    }

    /// `true` if a link begins with a greeting whose body is this crate's own.
    pub(crate) fn greets_natively(&self) -> bool {
        self.greeting.is_some_and(|greeting| greeting.native)
    }

    /// The length of a header without extension, as this dialect writes it: 16 or 20.
    #[must_use]
    pub const fn header_len(&self) -> usize {
        self.layout.header_len()
    }

    /// `true` if the numbers fit together: the version written is one that is accepted and fits its field, the limits
    /// hold a header at least. Sessions refuse to start with anything else.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let fits_field = match self.layout {
            Layout::Wire16 => self.highest_version.max(self.max_header) <= 0xFFFF,
            Layout::Wire20 => true,
        };
        fits_field
            && (self.lowest_version..=self.highest_version).contains(&self.version)
            && self.max_header as usize >= self.header_len()
            && self.max_frame >= self.max_header
    }
}

/// [`Dialect::LONGLINK`].
impl Default for Dialect {
    fn default() -> Self {
        Self::LONGLINK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRESETS: [Dialect; 4] = [Dialect::LONGLINK, Dialect::MARS, Dialect::GOIM, Dialect::BILIBILI];

    #[test]
    fn presets_are_consistent() {
        assert!(PRESETS.iter().all(Dialect::is_consistent));
    }

    #[test]
    fn inconsistent_numbers_are_noticed() {
        let cases = [
            Dialect { version: 2, ..Dialect::LONGLINK },
            Dialect { version: 70_000, lowest_version: 1, highest_version: 70_000, ..Dialect::LONGLINK },
            Dialect { max_header: 15, ..Dialect::LONGLINK },
            Dialect { max_header: 65_536, max_frame: 70_000, ..Dialect::LONGLINK },
            Dialect { max_header: 19, ..Dialect::MARS },
            Dialect { max_frame: 255, ..Dialect::LONGLINK },
        ];
        for dialect in cases {
            assert!(!dialect.is_consistent(), "{dialect:?}");
        }
    }

    #[test]
    fn replies_follow_the_family_s_list_then_its_rule() {
        assert_eq!(Dialect::LONGLINK.reply_to(6), 1_000_000_006);
        assert_eq!(Dialect::LONGLINK.reply_to(u32::MAX), 999_999_999);
        assert_eq!(Dialect::MARS.reply_to(237), 237);
        for (request, reply) in [(2, 3), (7, 8), (12, 13), (14, 15), (16, 17), (4, 4), (13, 13)] {
            assert_eq!(Dialect::GOIM.reply_to(request), reply);
        }
        for (request, reply) in [(2, 3), (7, 8), (12, 12), (4, 4)] {
            assert_eq!(Dialect::BILIBILI.reply_to(request), reply);
        }
    }

    #[test]
    fn the_answer_of_a_heartbeat_is_its_reply() {
        for dialect in PRESETS {
            assert_eq!(dialect.reply_to(dialect.heartbeat), dialect.heartbeat_reply, "{}", dialect.name);
        }
    }
}
