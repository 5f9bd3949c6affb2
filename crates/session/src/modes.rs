//! Terminal modes of "pty-req" (RFC 4254 section 8, RFC 8160), applied to a termios(3) structure.

use rustix::termios::{
    ControlModes, InputModes, LocalModes, OutputModes, SpecialCodeIndex, Termios,
};

/// The argument that means "no character" (RFC 4254 section 8).
const NO_CHARACTER: u32 = 255;

/// What the kernel has for "no character": `_POSIX_VDISABLE`.
const DISABLED: u8 = 0;

/// What an opcode stands for in termios(3).
#[derive(Debug, Clone, Copy)]
enum Mode {
    Character(SpecialCodeIndex),
    Input(InputModes),
    Local(LocalModes),
    Output(OutputModes),
    Control(ControlModes),
    CharacterSize(ControlModes),
    InputSpeed,
    OutputSpeed,
}

/// The opcodes that Linux has a mode for. VDSUSP (11), VFLUSH (15) and VSTATUS (17) are other systems'.
const MODES: &[(u8, Mode)] = &[
    (1, Mode::Character(SpecialCodeIndex::VINTR)),
    (2, Mode::Character(SpecialCodeIndex::VQUIT)),
    (3, Mode::Character(SpecialCodeIndex::VERASE)),
    (4, Mode::Character(SpecialCodeIndex::VKILL)),
    (5, Mode::Character(SpecialCodeIndex::VEOF)),
    (6, Mode::Character(SpecialCodeIndex::VEOL)),
    (7, Mode::Character(SpecialCodeIndex::VEOL2)),
    (8, Mode::Character(SpecialCodeIndex::VSTART)),
    (9, Mode::Character(SpecialCodeIndex::VSTOP)),
    (10, Mode::Character(SpecialCodeIndex::VSUSP)),
    (12, Mode::Character(SpecialCodeIndex::VREPRINT)),
    (13, Mode::Character(SpecialCodeIndex::VWERASE)),
    (14, Mode::Character(SpecialCodeIndex::VLNEXT)),
    (16, Mode::Character(SpecialCodeIndex::VSWTC)),
    (18, Mode::Character(SpecialCodeIndex::VDISCARD)),
    (30, Mode::Input(InputModes::IGNPAR)),
    (31, Mode::Input(InputModes::PARMRK)),
    (32, Mode::Input(InputModes::INPCK)),
    (33, Mode::Input(InputModes::ISTRIP)),
    (34, Mode::Input(InputModes::INLCR)),
    (35, Mode::Input(InputModes::IGNCR)),
    (36, Mode::Input(InputModes::ICRNL)),
    (37, Mode::Input(InputModes::IUCLC)),
    (38, Mode::Input(InputModes::IXON)),
    (39, Mode::Input(InputModes::IXANY)),
    (40, Mode::Input(InputModes::IXOFF)),
    (41, Mode::Input(InputModes::IMAXBEL)),
    (42, Mode::Input(InputModes::IUTF8)),
    (50, Mode::Local(LocalModes::ISIG)),
    (51, Mode::Local(LocalModes::ICANON)),
    (52, Mode::Local(LocalModes::XCASE)),
    (53, Mode::Local(LocalModes::ECHO)),
    (54, Mode::Local(LocalModes::ECHOE)),
    (55, Mode::Local(LocalModes::ECHOK)),
    (56, Mode::Local(LocalModes::ECHONL)),
    (57, Mode::Local(LocalModes::NOFLSH)),
    (58, Mode::Local(LocalModes::TOSTOP)),
    (59, Mode::Local(LocalModes::IEXTEN)),
    (60, Mode::Local(LocalModes::ECHOCTL)),
    (61, Mode::Local(LocalModes::ECHOKE)),
    (62, Mode::Local(LocalModes::PENDIN)),
    (70, Mode::Output(OutputModes::OPOST)),
    (71, Mode::Output(OutputModes::OLCUC)),
    (72, Mode::Output(OutputModes::ONLCR)),
    (73, Mode::Output(OutputModes::OCRNL)),
    (74, Mode::Output(OutputModes::ONOCR)),
    (75, Mode::Output(OutputModes::ONLRET)),
    (90, Mode::CharacterSize(ControlModes::CS7)),
    (91, Mode::CharacterSize(ControlModes::CS8)),
    (92, Mode::Control(ControlModes::PARENB)),
    (93, Mode::Control(ControlModes::PARODD)),
    (128, Mode::InputSpeed),
    (129, Mode::OutputSpeed),
];

/// Applies the modes in their order. Opcodes without a meaning here are ignored, as RFC 4254 section 8 wants, and so are
/// arguments that no termios can hold.
pub(crate) fn apply(modes: &[(u8, u32)], termios: &mut Termios) {
    for (opcode, argument) in modes {
        if let Some((_, mode)) = MODES.iter().find(|(known, _)| known == opcode) {
            mode.apply(*argument, termios);
        }
    }
}

impl Mode {
    fn apply(self, argument: u32, termios: &mut Termios) {
        let on = argument != 0;
        match self {
            Self::Character(index) => {
                if argument == NO_CHARACTER {
                    termios.special_codes[index] = DISABLED;
                } else if let Ok(character) = u8::try_from(argument) {
                    termios.special_codes[index] = character;
                }
            }
            Self::Input(mode) => termios.input_modes.set(mode, on),
            Self::Local(mode) => termios.local_modes.set(mode, on),
            Self::Output(mode) => termios.output_modes.set(mode, on),
            Self::Control(mode) => termios.control_modes.set(mode, on),
            // Two opcodes for one field of two bits: "not 8 bits" alone says nothing about the size.
            Self::CharacterSize(size) if on => {
                termios.control_modes.remove(ControlModes::CSIZE);
                termios.control_modes.insert(size);
            }
            Self::CharacterSize(_) => {}
            // Zero means "hang up" to the kernel. A speed that it does not take leaves the old one: it is for show.
            Self::InputSpeed if on => drop(termios.set_input_speed(argument)),
            Self::OutputSpeed if on => drop(termios.set_output_speed(argument)),
            Self::InputSpeed | Self::OutputSpeed => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::Pty;
    use rpc::session::PtyRequest;

    fn fresh() -> Termios {
        let request = PtyRequest {
            term: String::new(),
            size: rpc::session::WindowSize::default(),
            modes: Vec::new(),
        };
        let pty = Pty::open(&request).unwrap();
        rustix::termios::tcgetattr(&pty.slave).unwrap()
    }

    #[test]
    fn opcodes_are_unique_and_in_order() {
        assert!(MODES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn sets_and_clears_flags() {
        let mut termios = fresh();
        assert!(
            termios
                .local_modes
                .contains(LocalModes::ECHO | LocalModes::ICANON)
        );
        apply(&[(53, 0), (51, 0), (38, 1), (72, 0), (42, 1)], &mut termios);
        assert!(
            !termios
                .local_modes
                .intersects(LocalModes::ECHO | LocalModes::ICANON)
        );
        assert!(termios.local_modes.contains(LocalModes::ISIG));
        assert!(
            termios
                .input_modes
                .contains(InputModes::IXON | InputModes::IUTF8)
        );
        assert!(!termios.output_modes.contains(OutputModes::ONLCR));
    }

    #[test]
    fn sets_and_disables_characters() {
        let mut termios = fresh();
        apply(&[(1, 7), (3, 255), (4, 256), (5, u32::MAX)], &mut termios);
        assert_eq!(termios.special_codes[SpecialCodeIndex::VINTR], 7);
        assert_eq!(termios.special_codes[SpecialCodeIndex::VERASE], 0);
        assert_eq!(termios.special_codes[SpecialCodeIndex::VKILL], 21);
        assert_eq!(termios.special_codes[SpecialCodeIndex::VEOF], 4);
    }

    #[test]
    fn character_size_survives_contradictions() {
        let size = |modes: &[(u8, u32)]| {
            let mut termios = fresh();
            apply(modes, &mut termios);
            termios.control_modes & ControlModes::CSIZE
        };
        assert_eq!(size(&[]), ControlModes::CS8);
        assert_eq!(size(&[(90, 1), (91, 1)]), ControlModes::CS8);
        assert_eq!(size(&[(90, 1), (91, 0)]), ControlModes::CS7);
        assert_eq!(size(&[(90, 0), (91, 0)]), ControlModes::CS8);
    }

    #[test]
    fn sets_speeds_but_never_hangs_up() {
        let mut termios = fresh();
        apply(&[(128, 9600), (129, 115_200)], &mut termios);
        assert_eq!(termios.output_speed(), 115_200);
        apply(&[(128, 0), (129, 0)], &mut termios);
        assert_eq!(termios.output_speed(), 115_200);
    }

    #[test]
    fn ignores_unknown_opcodes_and_takes_any_argument() {
        for opcode in 0..=u8::MAX {
            for argument in [0, 1, 255, 256, u32::MAX] {
                apply(&[(opcode, argument)], &mut fresh_copy());
            }
        }
        fn fresh_copy() -> Termios {
            thread_local!(static TERMIOS: Termios = fresh());
            TERMIOS.with(Clone::clone)
        }
    }
}
