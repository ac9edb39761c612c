#!/usr/bin/env python3
"""Golden log-likelihoods and accuracies of tasks with examples before the question: make_shots_golden.py MODEL OUT.json

As make_task_golden.py, whose examples are the questions; this script adds what shots are drawn from, and MMLU as folder and as
lines of JSON, to tests/golden/tasks. lm-evaluation-harness draws and writes the shots by its own task definitions, with their
splits; the groups of MMLU are its groups. Made with lm-eval 0.4.9, transformers 5.24 and torch 2.14 from jobs/demo/kjv-llama-1m.

Format (JSON): TASK -> {"file", "shots", "shots_from", "limit", "examples", ...} as in tasks.json; of MMLU "subjects" and
"categories" -> NAME -> {"acc", "acc_stderr"}.
"""

import csv
import json
import os
import sys
import tempfile

import lm_eval
import yaml
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.huggingface import HFLM
from lm_eval.utils import load_yaml_config

import make_task_golden as base

BEASTS = ["an ox", "an ass", "a lamb", "a dove", "a raven", "a lion", "a serpent", "a camel", "a bee", "a fish"]
PLACES = ["the field", "the well", "the tent", "the river", "the mountain", "the city", "the vineyard"]

TRAINING = {
    "boolq_train.jsonl": [
        (f"There was {b} near {p}", f"was {b} near {PLACES[(i + i % 2) % 7]}", i % 2 == 0)
        for i, (b, p) in enumerate(zip(BEASTS, PLACES))
    ],
    "rte_train.jsonl": [
        (f"He found {b} by {p}.", f"He found {c}.", "entailment" if b == c else "not_entailment")
        for b, c, p in zip(BEASTS, BEASTS[:4] + BEASTS[5:9], PLACES)
    ],
    "hellaswag_train.jsonl": [
        (
            "Herding" if i % 2 else "Walking",
            f"A man leads {b} to {p}.",
            "the man",
            ["waits there.", "eats the road.", "turns into rain.", f"sings to {b} [title] aloud."],
            i % 4,
        )
        for i, (b, p) in enumerate(zip(BEASTS, PLACES))
    ],
    "winogrande_train.jsonl": [
        (f"Dan gave {b} to Levi at {p} because _ was kind.", "Dan", "Levi", str(1 + i % 2))
        for i, (b, p) in enumerate(zip(BEASTS, PLACES))
    ]
    + [base.SENTENCES[1]],
    "ARC-Easy-Train.jsonl": [
        (f"Where does one look for {b}?", [p, "nowhere", "in a jar"], "ABC", "ABC"[i % 3])
        for i, (b, p) in enumerate(zip(BEASTS, PLACES))
    ],
    "openbookqa_train.jsonl": [
        (f"When {b} is thirsty it goes to", [p, "sleep", "war", "and fro"], "ABCD", "ABCD"[i % 4])
        for i, (b, p) in enumerate(zip(BEASTS, PLACES))
    ],
    # More than twenty-one: Python draws from these in another way.
    "train.jsonl": [
        (f"To lead {b} to {p},", "call it by name", f"carry {p} to it", (i + j) % 2)
        for i, b in enumerate(BEASTS)
        for j, p in enumerate(PLACES)
    ],
}

SUBJECTS = {
    "anatomy": ("bone", ["the arm", "the leg", "the hand", "the foot"]),
    "philosophy": ("virtue", ["courage", "justice", "prudence", "mercy"]),
    "world_religions": ("feast", ["of bread", "of weeks", "of tents", "of lots"]),
    "astronomy": ("star", ["the sun", "Vega", "the pole star", "Sirius"]),
    "sociology": ("bond", ["kin", "law", "custom", "trade"]),
}


def mmlu_rows(subject, split, count):
    noun, choices = SUBJECTS[subject]
    rows = []
    for i in range(count):
        question = f" Which {noun} comes {'first' if i % 2 else 'last'} in the list of {split}, said \"he\", no. {i}?"
        if i == 1:
            question += "\nThe list has\ntwo lines, and commas "
        turned = choices[i % 4 :] + choices[: i % 4]
        rows.append({"question": question, "subject": subject, "choices": turned, "answer": (i * 3 + len(noun)) % 4})
    return rows


MMLU = {
    split: {s: mmlu_rows(s, split, n + (k % 3 if split == "test" else 0)) for k, s in enumerate(SUBJECTS)}
    for split, n in (("dev", 3), ("test", 4))
}


def write_training():
    t = TRAINING
    base.write_lines(
        "boolq_train.jsonl",
        [{"question": q, "passage": p, "idx": 100 + i, "label": l} for i, (p, q, l) in enumerate(t["boolq_train.jsonl"])],
    )
    base.write_lines(
        "rte_train.jsonl",
        [{"premise": p, "hypothesis": h, "label": l, "idx": 100 + i} for i, (p, h, l) in enumerate(t["rte_train.jsonl"])],
    )
    base.write_lines(
        "hellaswag_train.jsonl",
        [
            {"ind": 100 + i, "activity_label": a, "ctx_a": x, "ctx_b": y, "label": l, "endings": e}
            for i, (a, x, y, e, l) in enumerate(t["hellaswag_train.jsonl"])
        ],
    )
    base.write_lines(
        "winogrande_train.jsonl",
        [
            {"qID": f"T{i}", "sentence": s, "option1": a, "option2": b, "answer": k}
            for i, (s, a, b, k) in enumerate(t["winogrande_train.jsonl"])
        ],
    )
    for name in ("ARC-Easy-Train.jsonl", "openbookqa_train.jsonl"):
        kind = "Drawn_" if name[0] == "A" else "9-"
        base.write_lines(name, [base.question(*q, f"{kind}{i}") for i, q in enumerate(t[name])])
    base.write_lines("train.jsonl", [{"goal": g, "sol1": a, "sol2": b} for g, a, b, _ in t["train.jsonl"]])
    base.write_lines("train-labels.lst", [str(k) for *_, k in t["train.jsonl"]])
    for split, subjects in MMLU.items():
        os.makedirs(os.path.join(base.FOLDER, "mmlu", split), exist_ok=True)
        for subject, rows in subjects.items():
            with open(os.path.join(base.FOLDER, "mmlu", split, f"{subject}_{split}.csv"), "w", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                for row in rows:
                    writer.writerow([row["question"], *row["choices"], "ABCD"[row["answer"]]])
        base.write_lines(f"mmlu_{split}.jsonl", [row for _, rows in sorted(subjects.items()) for row in rows])


def with_ids(rows, first):
    """The harness compares whole examples; those of these data sets are numbered."""
    return [{"idx": first + i, **row} for i, row in enumerate(rows)]


def flat(rows, stem):
    return [base.flat(*q, stem) for q in rows]


T = TRAINING
# Name: what the job says, the definition, the questions' rows, what shots are drawn from (None: the questions).
SHOTS = {
    "boolq": (
        {"file": "boolq.jsonl", "shots": 2, "shots_from": "boolq_train.jsonl"},
        "super_glue/boolq/default.yaml",
        with_ids(base.DEFINITIONS["boolq"][2], 0),
        with_ids([{"passage": p, "question": q, "label": int(l)} for p, q, l in T["boolq_train.jsonl"]], 100),
    ),
    "rte": (
        {"file": "rte.jsonl", "shots": 3, "shots_from": "rte_train.jsonl"},
        "glue/rte/default.yaml",
        with_ids(base.DEFINITIONS["rte"][2], 0),
        with_ids(
            [{"sentence1": p, "sentence2": h, "label": int(l != "entailment")} for p, h, l in T["rte_train.jsonl"]], 100
        ),
    ),
    "hellaswag": (
        {"file": "hellaswag_val.jsonl", "shots": 2},
        "hellaswag/hellaswag.yaml",
        with_ids(base.DEFINITIONS["hellaswag"][2], 0),
        with_ids(
            [
                {"activity_label": a, "ctx_a": x, "ctx_b": y, "endings": e, "label": str(l)}
                for a, x, y, e, l in T["hellaswag_train.jsonl"]
            ],
            100,
        ),
    ),
    # One question is among the training examples: it is left out where it would be its own shot.
    "winogrande": (
        {"file": "winogrande.jsonl", "shots": 5, "shots_from": "winogrande_train.jsonl"},
        "winogrande/default.yaml",
        base.DEFINITIONS["winogrande"][2],
        [{"sentence": s, "option1": a, "option2": b, "answer": k} for s, a, b, k in T["winogrande_train.jsonl"]],
    ),
    "arc_easy": (
        {"file": "ARC-Easy-Test.jsonl", "shots": 3},
        "arc/arc_easy.yaml",
        with_ids(flat(base.QUESTIONS, "question"), 0),
        with_ids(flat(T["ARC-Easy-Train.jsonl"], "question"), 100),
    ),
    "openbookqa": (
        {"file": "openbookqa.jsonl", "shots": 1, "shots_from": "openbookqa_train.jsonl"},
        "openbookqa/openbookqa.yaml",
        with_ids(flat(base.OPEN_QUESTIONS, "question_stem"), 0),
        with_ids(flat(T["openbookqa_train.jsonl"], "question_stem"), 100),
    ),
    "piqa": (
        {"file": "valid.jsonl", "shots": 5},
        "piqa/piqa.yaml",
        base.DEFINITIONS["piqa"][2],
        [{"goal": g, "sol1": a, "sol2": b, "label": k} for g, a, b, k in T["train.jsonl"]],
    ),
    "lambada": (
        {"file": "lambada.jsonl", "shots": 2, "shots_from": "lambada.jsonl"},
        "lambada/lambada_openai.yaml",
        base.DEFINITIONS["lambada"][2],
        None,
    ),
    # A ready prompt: the questions are the only split, and named as that of the shots too.
    "multiple_choice": (
        {"file": "multiple_choice.jsonl", "shots": 2, "shots_from": "multiple_choice.jsonl"},
        {**base.DEFINITIONS["multiple_choice"][1], "fewshot_split": "test", "test_split": "test"},
        base.DEFINITIONS["multiple_choice"][2],
        None,
    ),
}


def write_rows(folder, name, rows):
    path = os.path.join(folder, name + ".jsonl")
    with open(path, "w") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")
    return path


def config_of(name, definition, splits, folder):
    """The definition with its own splits, of these rows: SPLIT -> rows."""
    config = {k: v for k, v in definition.items() if k not in ("tag", "task", "dataset_name", "metadata", "task_alias")}
    files = {split: write_rows(folder, f"{name}-{split}", rows) for split, rows in splits.items()}
    config.update(
        task=name, dataset_path="json", dataset_kwargs={"data_files": files}, metadata={"version": 0}
    )
    return config


def numbers_of(result):
    found = {k.split(",")[0]: v for k, v in result.items() if k.endswith(",none")}
    keys = ("acc", "acc_stderr", "acc_norm", "acc_norm_stderr", "perplexity")
    return {k: found[k] for k in keys if k in found and found[k] != "N/A"}


def examples_of(samples):
    return [
        {
            "log_likelihood": [float(f"{r[0][0]:.8g}") for r in sample["resps"]],
            "greedy": [bool(r[0][1]) for r in sample["resps"]],
        }
        for sample in sorted(samples, key=lambda s: s["doc_id"])
    ]


def measure_shots(harness, folder):
    golden = {}
    for name, (job, definition, rows, training) in SHOTS.items():
        if isinstance(definition, str):
            definition = load_yaml_config(os.path.join(base.TASKS, definition), mode="full")
        questions = definition.get("test_split") or definition["validation_split"]
        definition = {**definition, **({"validation_split": None} if definition.get("test_split") else {})}
        splits = {questions: rows} if training is None else {"train": training, questions: rows}
        task = ConfigurableTask(config=config_of(name, definition, splits, folder))
        found = lm_eval.simple_evaluate(
            model=harness, tasks=[task], num_fewshot=job["shots"], log_samples=True, bootstrap_iters=2
        )
        golden[name] = {**job, "examples": examples_of(found["samples"][name]), **numbers_of(found["results"][name])}
    return golden


def measure_mmlu(harness, folder, shots, limit):
    where = os.path.join(base.TASKS, "mmlu", "default")
    categories = {}
    for subject in SUBJECTS:
        definition = load_yaml_config(os.path.join(where, f"mmlu_{subject}.yaml"), mode="full")
        category = definition["tag"][len("mmlu_") : -len("_tasks")]
        splits = {split: MMLU[split][subject] for split in MMLU}
        config = config_of(f"mmlu_{subject}", definition, splits, folder)
        categories.setdefault(category, []).append(config)
    weight = [{"metric": "acc", "weight_by_size": True}]
    group = {
        "group": "mmlu",
        "aggregate_metric_list": weight,
        "task": [
            {"group": f"mmlu_{c}", "task": tasks, "aggregate_metric_list": weight} for c, tasks in categories.items()
        ],
    }
    found = lm_eval.simple_evaluate(
        model=harness, tasks=[group], num_fewshot=shots, limit=limit, log_samples=True, bootstrap_iters=2
    )
    results = {**found["results"], **found.get("groups", {})}
    golden = {"shots": shots, "examples": [], **numbers_of(results["mmlu"])}
    if limit:
        golden["limit"] = limit
    golden["categories"] = {c: numbers_of(results[f"mmlu_{c}"]) for c in categories}
    golden["subjects"] = {s: numbers_of(results[f"mmlu_{s}"]) for s in SUBJECTS}
    for subject in sorted(SUBJECTS):
        golden["examples"] += examples_of(found["samples"][f"mmlu_{subject}"])
    return golden


def main():
    model, out = sys.argv[1:]
    harness = HFLM(pretrained=model, device="cpu", dtype="float32", batch_size=1)
    write_training()
    with tempfile.TemporaryDirectory() as folder:
        golden = measure_shots(harness, folder)
        golden["mmlu"] = {"file": "mmlu", **measure_mmlu(harness, folder, 2, None)}
        golden["mmlu_zero"] = {"file": "mmlu", **measure_mmlu(harness, folder, 0, 3)}
    with open(out, "w") as file:
        json.dump(golden, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
