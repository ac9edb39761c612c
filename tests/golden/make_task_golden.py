#!/usr/bin/env python3
"""Golden log-likelihoods and accuracies of tasks: make_task_golden.py MODEL_DIRECTORY OUT.json [TASKS_FOLDER OUT.json]

They are EleutherAI's: lm-evaluation-harness runs its own task definitions (prompts, choices, metrics) on the examples in
tests/golden/tasks, which this script writes in the tasks' original formats. For the definitions the same examples are
shaped as the data sets that they expect. Made with lm-eval 0.4.9, transformers 4.53, torch 2.13 from
jobs/demo/kjv-llama-1m.

Format (JSON): TASK -> {"file", "examples": [{"log_likelihood": [of each option], "greedy": [...]}], "acc", "acc_stderr",
"acc_norm" (by characters), "acc_norm_stderr", "perplexity"}; members that a definition does not have are left out. With
TASKS_FOLDER also those of the first examples of public task files in the two formats of ready prompts, each with "limit" and
"delimiter".
"""

import json
import os
import sys
import tempfile

import lm_eval
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.huggingface import HFLM
from lm_eval.utils import load_yaml_config

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(HERE, "tasks")
TASKS = os.path.join(os.path.dirname(lm_eval.__file__), "tasks")

# ---- examples, invented for this file -------------------------------------------------------------------

LONG = " ".join(
    f"And in the {n} year the shepherd counted {n} sheep, and the well had water, and the children slept."
    for n in range(1, 31)
)
PASSAGES = [
    ("The old mill by the river ground barley until the flood took its wheel", "did the mill grind barley", True),
    ("Bees carry pollen from flower to flower. Moths do so by night", "do moths sleep at night", False),
    ("The café in Zürich serves only tea – no coffee", "can you drink coffee in the café", False),
    ("A lamp that is filled with oil burns until morning ", "does a filled lamp burn until morning ", True),
    (LONG, "was there water in the well", True),
    ("Salt keeps meat; honey keeps figs", "does honey keep figs", True),
]
ENTAILMENTS = [
    ("The king gave his horse to the servant.", "The servant received a horse.", "entailment"),
    ("No rain fell in the land for three years.", "The land was wet.", "not_entailment"),
    ("Miriam's brother crossed the sea in a boat.", "A boat crossed the sea.", "entailment"),
    ("They built the wall in 52 days.", "The wall took a year to build.", "not_entailment"),
    ('The wise man answered "nothing" to the judge.', "The judge heard a speech.", "not_entailment"),
]
ENDINGS = [
    (
        "Baking bread",
        "A woman kneads dough on a table.",
        "she",
        [
            "puts the dough into the oven.",
            "throws the table away.",
            "sings to the moon and sleeps.",
            "swims across the dough.",
        ],
        0,
    ),
    (
        "Fishing",
        "[header] How to mend a net [title] Lay it out. [step] Look for holes",
        "then You",
        [
            " tie the broken threads. [substeps] Use good cord.",
            "eat  the net",
            "burn the boat [title] and go",
            "sell all fish",
        ],
        0,
    ),
    (
        "Washing a dog",
        "The dog stands in the tub.",
        "éLAN and WATER follow; the dog",
        ["shakes itself dry.", "reads a book.", "becomes a bird.", "counts to ten."],
        0,
    ),
    (
        "Riding",
        "The rider mounts the horse and holds the reins.",
        "the horse",
        ["walks slowly out of the gate", "walks slowly up the stairs", "walks", "writes a letter"],
        1,
    ),
    (
        "Harvest [note",
        "Men cut the corn [with sickles] in the field.",
        "",
        ["They bind it in sheaves.", "They drink the field.", "They fly.", "They are corn."],
        0,
    ),
]
SENTENCES = [
    ("Ruth gave bread to Orpah because _ was hungry.", "Ruth", "Orpah", "2"),
    ("The stone did not fit into the wall since the _ was too large.", "stone", "wall", "1"),
    ("_ slept in the tent while Esau hunted, so Jacob was rested.", "Jacob", "Esau", "1"),
    ("Adah taught Zillah to weave, and soon the cloth of _  was praised.", "Adah", "Zillah", "2"),
]
QUESTIONS = [
    ("Which of these gives light at night?", ["a stone", "the moon", "a river", "the wind"], "ABCD", "B"),
    ("What do sheep eat?", ["grass", "iron", "sand"], "123", "1"),
    ("Water becomes ice when it is", ["heated", "cooled", "stirred", "salted"], "ABCD", "B"),
    ("Which tool cuts wood?", ["an axe", "an axe handle", "a rope", "a jar", "a lamp"], "ABCDE", "A"),
    ("Où pousse l'olivier ?", ["en été", "in the ground", "à l'ombre d'un château", "on the sea"], "ABCD", "B"),
]
OPEN_QUESTIONS = [
    ("A traveller who is thirsty should look for", ["a well", "a wall", "a rock", "a road"], "ABCD", "A"),
    ("Seeds that fall on good ground", ["burn", "bear fruit", "turn to stone", "sing"], "ABCD", "B"),
    ("The sun rises in the ", ["east", "west", "north", "south"], "ABCD", "A"),
    ("Bread is made of", ["flour and water", "clay", "wool", "flour and sand"], "ABCD", "A"),
]
GOALS = [
    ("How do you keep wine cool?", "Put the jar into a deep cellar.", "Put the jar on the fire.", 0),
    ("To carry water without a jar,", "use a net", "use a skin that is sewn together", 1),
    ("sharpen a sickle", "Rub its edge along a wet stone, again and again.", "Rub its edge along a wet sponge.", 0),
]
PASSAGES_TO_END = [
    "In the beginning God created the heaven and the earth",
    "And it came to pass in those days that the king sent messengers unto all the cities of the land",
    "The shepherd called his sheep by name, and they heard the voice of the shepherd",
    "And the LORD said unto him, Go, and he did as the LORD commanded",
    LONG + " And the shepherd was glad",
    "unto",
]
READY_CHOICES = [
    {"query": "Question: What did the raven bring?", "choices": ["bread", "a song about bread", "gold"], "gold": 0},
    {"query": "And he said unto", "choices": ["them", "the children of Israel", "tomorrow"], "gold": 1},
    {"query": "The lamp ", "choices": ["burns", "eats"], "gold": 0},
    {"query": LONG, "choices": ["And they rested.", "no", LONG[:600]], "gold": 0},
]
READY_CONTEXTS = [
    {
        "context_options": [
            "The bow did not fit the case because the bow",
            "The bow did not fit the case because the case",
        ],
        "continuation": "was too long.",
        "gold": 0,
    },
    {
        "context_options": ["Dan thanked Asher since Dan", "Dan thanked Asher since Asher"],
        "continuation": "had helped.",
        "gold": 1,
    },
]
READY_CONTINUATIONS = [
    {"context": "And the children of", "continuation": "Israel"},
    {"context": "Blessed be the name of the LORD ", "continuation": "for ever"},
]


def question(stem, choices, labels, key, identity):
    return {
        "id": identity,
        "question": {"stem": stem, "choices": [{"text": t, "label": l} for t, l in zip(choices, labels)]},
        "answerKey": key,
    }


def flat(stem, choices, labels, key, stem_name):
    return {stem_name: stem, "choices": {"text": choices, "label": list(labels)}, "answerKey": key}


def write_lines(name, rows):
    with open(os.path.join(FOLDER, name), "w") as file:
        for row in rows:
            file.write((row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n")


def write_examples():
    """The examples as their authors distribute them."""
    os.makedirs(FOLDER, exist_ok=True)
    write_lines(
        "boolq.jsonl", [{"question": q, "passage": p, "idx": i, "label": l} for i, (p, q, l) in enumerate(PASSAGES)]
    )
    write_lines(
        "rte.jsonl", [{"premise": p, "hypothesis": h, "label": l, "idx": i} for i, (p, h, l) in enumerate(ENTAILMENTS)]
    )
    write_lines(
        "rte.tsv",
        ["index\tsentence1\tsentence2\tlabel"] + [f"{i}\t{p}\t{h}\t{l}" for i, (p, h, l) in enumerate(ENTAILMENTS)],
    )
    write_lines(
        "hellaswag_val.jsonl",
        [
            {
                "ind": i,
                "activity_label": a,
                "ctx_a": x,
                "ctx_b": y,
                "ctx": f"{x} {y}",
                "split": "val",
                "split_type": "indomain",
                "label": l,
                "endings": e,
                "source_id": "none",
            }
            for i, (a, x, y, e, l) in enumerate(ENDINGS)
        ],
    )
    write_lines(
        "winogrande.jsonl",
        [
            {"qID": f"Q{i}", "sentence": s, "option1": a, "option2": b, "answer": k}
            for i, (s, a, b, k) in enumerate(SENTENCES)
        ],
    )
    write_lines("ARC-Easy-Test.jsonl", [question(*q, f"Invented_{i}") for i, q in enumerate(QUESTIONS)])
    write_lines("openbookqa.jsonl", [question(*q, f"7-{i}") for i, q in enumerate(OPEN_QUESTIONS)])
    write_lines("valid.jsonl", [{"goal": g, "sol1": a, "sol2": b} for g, a, b, _ in GOALS])
    write_lines("valid-labels.lst", [str(k) for *_, k in GOALS])
    write_lines("lambada.jsonl", [{"text": t} for t in PASSAGES_TO_END])
    write_lines("multiple_choice.jsonl", READY_CHOICES)
    write_lines("context_options.jsonl", READY_CONTEXTS)
    write_lines("continuation.jsonl", READY_CONTINUATIONS)


# ---- the same for lm-eval -------------------------------------------------------------------------------

READY = {"target_delimiter": " ", "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}]}
DEFINITIONS = {
    "boolq": (
        "boolq.jsonl",
        "super_glue/boolq/default.yaml",
        [{"passage": p, "question": q, "label": int(l)} for p, q, l in PASSAGES],
    ),
    "rte": (
        "rte.jsonl",
        "glue/rte/default.yaml",
        [{"sentence1": p, "sentence2": h, "label": int(l != "entailment")} for p, h, l in ENTAILMENTS],
    ),
    "rte_table": (
        "rte.tsv",
        "glue/rte/default.yaml",
        [{"sentence1": p, "sentence2": h, "label": int(l != "entailment")} for p, h, l in ENTAILMENTS],
    ),
    "hellaswag": (
        "hellaswag_val.jsonl",
        "hellaswag/hellaswag.yaml",
        [{"activity_label": a, "ctx_a": x, "ctx_b": y, "endings": e, "label": str(l)} for a, x, y, e, l in ENDINGS],
    ),
    "winogrande": (
        "winogrande.jsonl",
        "winogrande/default.yaml",
        [{"sentence": s, "option1": a, "option2": b, "answer": k} for s, a, b, k in SENTENCES],
    ),
    "arc_easy": ("ARC-Easy-Test.jsonl", "arc/arc_easy.yaml", [flat(*q, "question") for q in QUESTIONS]),
    "openbookqa": (
        "openbookqa.jsonl",
        "openbookqa/openbookqa.yaml",
        [flat(*q, "question_stem") for q in OPEN_QUESTIONS],
    ),
    "piqa": ("valid.jsonl", "piqa/piqa.yaml", [{"goal": g, "sol1": a, "sol2": b, "label": k} for g, a, b, k in GOALS]),
    "lambada": ("lambada.jsonl", "lambada/lambada_openai.yaml", [{"text": t} for t in PASSAGES_TO_END]),
    # The two formats of ready prompts have no definition of their own there: the plainest one that says the same.
    "multiple_choice": (
        "multiple_choice.jsonl",
        {
            **READY,
            "output_type": "multiple_choice",
            "doc_to_text": "{{query}}",
            "doc_to_choice": "{{choices}}",
            "doc_to_target": "{{gold}}",
        },
        READY_CHOICES,
    ),
    "delimited": (
        "multiple_choice.jsonl",
        {
            **READY,
            "output_type": "multiple_choice",
            "doc_to_text": "{{query}}\nAnswer:",
            "doc_to_choice": "{{choices}}",
            "doc_to_target": "{{gold}}",
        },
        READY_CHOICES,
    ),
    "context_options": (
        "context_options.jsonl",
        {
            **READY,
            "output_type": "multiple_choice",
            "doc_to_text": lambda d: d["gold"],
            "doc_to_target": lambda d: d["continuation"],
            "doc_to_choice": lambda d: d["context_options"],
            "metric_list": [{"metric": "acc"}],
        },
        READY_CONTEXTS,
    ),
    "continuation": (
        "continuation.jsonl",
        {
            "output_type": "loglikelihood",
            "doc_to_text": "{{context}}",
            "doc_to_target": "{{' ' + continuation}}",
            "metric_list": [{"metric": "perplexity"}, {"metric": "acc"}],
        },
        READY_CONTINUATIONS,
    ),
}


def make_task(name, definition, rows, folder):
    path = os.path.join(folder, name + ".jsonl")
    with open(path, "w") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")
    if isinstance(definition, str):
        definition = load_yaml_config(os.path.join(TASKS, definition), mode="full")
    config = {
        k: v
        for k, v in definition.items()
        if k not in ("tag", "task", "dataset_name", "training_split", "validation_split", "test_split", "metadata")
    }
    config.update(
        task=name,
        dataset_path="json",
        dataset_kwargs={"data_files": {"test": path}},
        test_split="test",
        metadata={"version": 0},
    )
    return ConfigurableTask(config=config)


# File -> (definition, delimiter). The queries end where lm-eval's prompt of the same task goes on with "\nAnswer:".
CHOICE = {"output_type": "multiple_choice", "doc_to_choice": "{{choices}}", "doc_to_target": "{{gold}}"}
PUBLIC_LIMIT = 25
PUBLIC = {
    "arc_easy.jsonl": ({**READY, **CHOICE, "doc_to_text": "{{query}}\nAnswer:"}, "\nAnswer: "),
    "piqa.jsonl": ({**READY, **CHOICE, "doc_to_text": "{{query}}Answer:"}, "Answer: "),
    "openbook_qa.jsonl": (DEFINITIONS["multiple_choice"][1], " "),
    "winogrande.jsonl": (DEFINITIONS["context_options"][1], " "),
    "lambada_openai.jsonl": (DEFINITIONS["continuation"][1], " "),
}


def public_rows(folder, file):
    with open(os.path.join(folder, file)) as lines:
        return [json.loads(line) for line, _ in zip(lines, range(PUBLIC_LIMIT))]


def measure(harness, definitions, out, is_public):
    golden = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (file, definition, rows) in definitions.items():
            task = make_task(name, definition, rows, folder)
            found = lm_eval.simple_evaluate(
                model=harness, tasks=[task], log_samples=True, bootstrap_iters=2
            )  # of the perplexity's error, which is not kept; 0 gives none
            numbers = {k.split(",")[0]: v for k, v in found["results"][name].items() if k.endswith(",none")}
            golden[name] = {"file": file}
            golden[name]["examples"] = [
                {
                    "log_likelihood": [float(f"{r[0][0]:.8g}") for r in sample["resps"]],
                    "greedy": [bool(r[0][1]) for r in sample["resps"]],
                }
                for sample in sorted(found["samples"][name], key=lambda s: s["doc_id"])
            ]
            for key in ("acc", "acc_stderr", "acc_norm", "acc_norm_stderr", "perplexity"):
                if key in numbers:
                    golden[name][key] = numbers[key]
            if name == "delimited":
                golden[name]["delimiter"] = "\nAnswer: "
            if is_public:
                golden[name].update(limit=PUBLIC_LIMIT, delimiter=PUBLIC[file][1])
    with open(out, "w") as file:
        json.dump(golden, file, indent=1)
        file.write("\n")


def main():
    model, out, *public = sys.argv[1:]
    harness = HFLM(pretrained=model, device="cpu", dtype="float32", batch_size=1)
    write_examples()
    measure(harness, DEFINITIONS, out, False)
    if public:
        folder, out = public
        rows = {f: public_rows(folder, f) for f in PUBLIC}
        measure(harness, {f.split(".")[0]: (f, d, rows[f]) for f, (d, _) in PUBLIC.items()}, out, True)


if __name__ == "__main__":
    main()
