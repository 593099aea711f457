//! A user's data with workers, as refcow could have measured it.

use std::collections::BTreeMap;

use refcow::model::{
    AfterKill, ForkCost, GivesBack, Leftover, MemoryLimit, OwnData, OwnDataFigures, OwnDataWay,
    StartMethod, TreeMemory, Visitor,
};
use serde_json::json;

const MIB: u64 = 1 << 20;

fn way(way: &str, start_method: StartMethod, workers: u64, each: u64) -> OwnDataWay {
    let child = Visitor {
        visit_seconds: 0.002,
        own_pages: 700,
        copied_pages: 600,
        piped_bytes: Some(if start_method == StartMethod::Fork {
            20
        } else {
            3 * MIB
        }),
        handed_bytes: None,
    };
    let memory = TreeMemory {
        shared_bytes: 12 * MIB,
        own_bytes: 3 * MIB,
        new_bytes: workers * each,
        page_table_bytes: workers << 16,
        mapped_bytes: 0,
    };
    OwnDataWay {
        way: way.into(),
        title: match way {
            "inherit" => "inherited".into(),
            way => way.into(),
        },
        start_method,
        workers,
        does_not_apply: None,
        measured: Some(OwnDataFigures {
            start_seconds: 0.004,
            prepare_seconds: (way == "manager").then_some(0.03),
            handover_seconds: 0.05,
            first_result_seconds: 0.04,
            memory: Some(memory),
            peak_bytes: Some(memory.sum() + MIB),
            gives_back: match way {
                "inherit" => GivesBack::Same,
                "manager" => GivesBack::Differs {
                    at: "data[1] is 'two', and was 'two\\x00'".into(),
                },
                "file" => GivesBack::Unknown {
                    reason: "more than 1 GiB of pickle are not compared".into(),
                },
                _ => GivesBack::Equal,
            },
            after_worker_killed: match way {
                "manager" => AfterKill::Hangs {
                    after_seconds: 0.5,
                    later_done: true,
                },
                _ => AfterKill::Usable,
            },
            left_after_kill: match way {
                "manager" => vec![Leftover::Manager, Leftover::Socket],
                _ => Vec::new(),
            },
            reference_own_pages: 100,
            children: (0..workers).map(|_| child.clone()).collect(),
        }),
    }
}

fn not(name: &str, start_method: StartMethod, workers: u64, reason: &str) -> OwnDataWay {
    OwnDataWay {
        does_not_apply: Some(reason.into()),
        measured: None,
        ..way(name, start_method, workers, 0)
    }
}

/// With one, two and four workers.
pub fn own_data() -> OwnData {
    use StartMethod::{Fork, Spawn};
    let mut ways = Vec::new();
    for workers in [1, 2, 4] {
        ways.push(way("inherit", Fork, workers, 2 * MIB));
        ways.push(way("args", Fork, workers, 2 * MIB));
        ways.push(match workers {
            4 => not("args", Spawn, 4, "4 workers could need 9 TiB"),
            _ => way("args", Spawn, workers, 9 * MIB),
        });
        // No straight line.
        ways.push(way("manager", Fork, workers, 6 * MIB / workers));
        ways.push(way("file", Fork, workers, 5 * MIB));
        ways.push(not(
            "memmap",
            Fork,
            workers,
            "the data holds no NumPy array",
        ));
    }
    OwnData {
        fixture: "loader".into(),
        visit: "epoch".into(),
        parameters: BTreeMap::from([
            ("samples".into(), json!(1000)),
            ("kind".into(), json!("dict")),
        ]),
        arguments: vec!["-v".into()],
        build_seconds: 1.5,
        size_bytes: Some(8 * MIB),
        pickled_bytes: Some(3 * MIB),
        not_picklable: None,
        default_start_method: Fork,
        fork: ForkCost {
            seconds: vec![0.002, 0.001, 0.009],
            resident_bytes: 64 * MIB,
        },
        memory_limit: MemoryLimit {
            bytes: 1 << 30,
            from: "memory.max of /sys/fs/cgroup/job".into(),
        },
        ways,
    }
}
