//! Decoders of the kernel's short texts. All are pure.

use procfs::{CpuInfo, FromRead};

use super::finding::Availability;

/// The choice in brackets: `madvise` of `always [madvise] never`.
pub(super) fn chosen(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    let (chosen, _) = rest.split_once(']')?;
    Some(chosen.to_owned())
}

/// `/sys/kernel/mm/ksm/run`: 0 stops merging, 1 merges, 2 stops and undoes what was merged
/// (Documentation/admin-guide/mm/ksm.rst).
pub(super) fn ksm_running(text: &str) -> Option<bool> {
    match text.trim() {
        "1" => Some(true),
        "0" | "2" => Some(false),
        _ => None,
    }
}

/// `model name` of the first processor in /proc/cpuinfo, which aarch64 does not give.
pub(super) fn cpu_model(text: &str) -> Option<String> {
    let info = CpuInfo::from_read(text.as_bytes()).ok()?;
    let model = info.model_name(0)?.trim();
    (!model.is_empty()).then(|| model.to_owned())
}

/// Whether a process may read the memory of its own descendants under Yama's `ptrace_scope`
/// (Documentation/admin-guide/LSM/Yama.rst). `None`: a kernel without Yama.
pub(super) fn ptrace_scope(scope: Option<u8>, sys_ptrace: bool) -> (Availability, String) {
    match (scope, sys_ptrace) {
        (None, _) => (
            Availability::Good,
            "readable: same user (no Yama in this kernel)".to_owned(),
        ),
        (Some(0), _) => (
            Availability::Good,
            "readable: same user (Yama ptrace_scope 0)".to_owned(),
        ),
        (Some(1), _) => (
            Availability::Good,
            "readable: descendants (Yama ptrace_scope 1)".to_owned(),
        ),
        (Some(2), true) => (
            Availability::Good,
            "readable: by CAP_SYS_PTRACE (Yama ptrace_scope 2)".to_owned(),
        ),
        (Some(2), false) => (
            Availability::Unavailable,
            "not readable without CAP_SYS_PTRACE (Yama ptrace_scope 2)".to_owned(),
        ),
        (Some(scope), _) => (
            Availability::Unavailable,
            format!("not readable by anyone (Yama ptrace_scope {scope})"),
        ),
    }
}

/// Bytes for people: MiB below one GiB, else GiB.
pub(super) fn size(bytes: u64) -> String {
    const MIB: f64 = 1024.0 * 1024.0;
    let mib = bytes as f64 / MIB;
    if mib < 1024.0 {
        format!("{mib:.0} MiB")
    } else {
        format!("{:.1} GiB", mib / 1024.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_is_the_word_in_brackets() {
        assert_eq!(
            chosen("always [madvise] never\n").as_deref(),
            Some("madvise")
        );
        assert_eq!(
            chosen("[always] madvise never\n").as_deref(),
            Some("always")
        );
        assert_eq!(chosen("always madvise never\n"), None);
        assert_eq!(chosen(""), None);
    }

    #[test]
    fn merging_stops_also_by_undoing_it() {
        assert_eq!(ksm_running("0\n"), Some(false));
        assert_eq!(ksm_running("1\n"), Some(true));
        assert_eq!(ksm_running("2\n"), Some(false));
        assert_eq!(ksm_running("\n"), None);
    }

    #[test]
    fn x86_64_names_its_processor() {
        let text = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel\t\t: 85\n\
                    model name\t: Intel(R) Xeon(R) CPU @ 2.00GHz\nstepping\t: 3\n\n\
                    processor\t: 1\nvendor_id\t: GenuineIntel\nmodel\t\t: 85\n\
                    model name\t: Intel(R) Xeon(R) CPU @ 2.00GHz\nstepping\t: 3\n\n";
        assert_eq!(
            cpu_model(text).as_deref(),
            Some("Intel(R) Xeon(R) CPU @ 2.00GHz")
        );
    }

    #[test]
    fn aarch64_does_not() {
        let text = "processor\t: 0\nBogoMIPS\t: 243.75\n\
                    Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid\n\
                    CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x3\n\
                    CPU part\t: 0xd0c\nCPU revision\t: 1\n\n";
        assert_eq!(cpu_model(text), None);
        assert_eq!(cpu_model(""), None);
    }

    #[test]
    fn an_ancestor_may_read_under_yama_1_and_only_the_privileged_under_2() {
        let state = |scope, capable| ptrace_scope(scope, capable).0;
        for scope in [None, Some(0), Some(1)] {
            assert_eq!(state(scope, false), Availability::Good);
        }
        assert_eq!(state(Some(2), true), Availability::Good);
        assert_eq!(state(Some(2), false), Availability::Unavailable);
        assert_eq!(state(Some(3), true), Availability::Unavailable);
    }

    #[test]
    fn sizes_are_rounded_for_reading() {
        assert_eq!(size(0), "0 MiB");
        assert_eq!(size(393_216_000), "375 MiB");
        assert_eq!(size(7 << 30), "7.0 GiB");
    }
}
