"""Mistakes that users make, each with the command and the files that make it: the rows of docs/errors.md."""

from collections.abc import Mapping
from typing import NamedTuple

INTER = "dataset/shop/shop.inter"
ITEM = "dataset/shop/shop.item"
YAML = "dataset/shop/shop.yaml"
POP = "--model=Pop --dataset=shop"
SETTINGS = "topk: [3]\nmetrics: [NDCG]\nvalid_metric: NDCG@3\ngpu_id: ''\nshow_progress: False\n"
COLUMNS = "load_col: {inter: [user_id, item_id, timestamp]}\ntext_fields: {item: [title]}\n" + SETTINGS
RESULT = "results/shop/Pop-2020.json"


class Mistake(NamedTuple):
    """``files`` are written over what is there, None takes one away; ``{run}`` in ``command`` is the stopped run."""

    what: str
    command: str
    files: Mapping[str, str | bytes | None] = {}
    start: str = "shop"  # or finished, stopped

    @property
    def converts(self) -> bool:
        """Whether it is a command of dataset_prep."""
        return not self.command.startswith(("-", "{run}"))


def _inter(*rows: str, header: str = "user_id:token item_id:token timestamp:float") -> dict[str, str]:
    return {INTER: "".join("\t".join(line.split(" ")) + "\n" for line in (header, *rows))}


def _yaml(text: str) -> dict[str, str]:
    return {YAML: COLUMNS + text}


CLICKS = "member_id,job_id,time,action\n" + "".join(
    f"m{m},j{j},2024-01-{10 + m}T08:00,click\n" for m in range(4) for j in range(4)
)
CSV = {"clicks.csv": CLICKS}
REVIEW = '{"reviewerID": "a", "asin": "x", "overall": 5, "unixReviewTime": 1400000000}\n'
JOBS = "jobs clicks.csv --out dataset/work"

MISTAKES = {
    "The command line": [
        Mistake("no model", "--dataset=shop"),
        Mistake("no dataset", "--model=Pop"),
        Mistake("a model that nobody has", "--model=EASY --dataset=shop"),
        Mistake("a dataset that is not there", "--model=Pop --dataset=beauty"),
        Mistake("a dataset given as a path", "--model=Pop --dataset=dataset/shop"),
        Mistake("an option that nobody has", "--model=EASE --dataset=shop --reg_wight=3"),
        Mistake("an option of another model", f"{POP} --lambda_c=1"),
        Mistake("RecBole's name of an option of its scripts", f"{POP} --config_file=a.yaml"),
        Mistake("a word without dashes", f"{POP} results"),
        Mistake("an option twice", f"{POP} --seed=1 --seed=2"),
        Mistake("brackets that are not closed", f"{POP} --topk=[3"),
        Mistake("a comment in a value", f"{POP} --run_name='a #1'"),
        Mistake("text for a number", f"{POP} --epochs=many"),
        Mistake("a number below what is legal", f"{POP} --learning_rate=-1"),
        Mistake("a number that is infinite", f"{POP} --learning_rate=.inf"),
        Mistake("a number that is not whole", f"{POP} --train_batch_size=1.5"),
        Mistake("a share above 1", "--model=SASRec --dataset=shop --hidden_dropout_prob=2.5"),
        Mistake("a number that no computer word holds", f"{POP} --seed=99999999999999999999"),
        Mistake("text for true or false", f"{POP} --shuffle=maybe"),
        Mistake("two commands in one", "--models=Pop,EASE --dataset=shop --audit"),
        Mistake("--model beside --models", "--model=Pop --models=EASE --dataset=shop"),
        Mistake("one name for the rows of a table", "--models=Pop,EASE --dataset=shop --run_name=mine"),
    ],
    "Options and configuration files": [
        Mistake("a file that is not there", f"{POP} --config_files=my.yaml"),
        Mistake("a file that is not yaml", f"{POP} --config_files=my.yaml", {"my.yaml": "epochs: 3\n\tseed: 1\n"}),
        Mistake("a file without options", f"{POP} --config_files=my.yaml", {"my.yaml": "- epochs\n- seed\n"}),
        Mistake(
            "a file that is not UTF-8", f"{POP} --config_files=my.yaml", {"my.yaml": "run_name: é".encode("latin-1")}
        ),
        Mistake("an option twice in a file", f"{POP} --config_files=my.yaml", {"my.yaml": "epochs: 3\nepochs: 4\n"}),
        Mistake("a misspelt option in a file", f"{POP} --config_files=my.yaml", {"my.yaml": "epoch: 3\n"}),
        Mistake("a list that holds itself", f"{POP} --config_files=my.yaml", {"my.yaml": "metrics: &a [*a]\n"}),
        Mistake("a metric that nobody has", f"{POP} --metrics=[Recal]"),
        Mistake("a criterion that is not measured", f"{POP} --valid_metric=MRR@3"),
        Mistake("a criterion at a cut-off that is not measured", f"{POP} --valid_metric=NDCG@10"),
        Mistake("no metric at all", f"{POP} --metrics=[]"),
        Mistake("a cut-off of more items than there are", f"{POP} --topk=[50] --valid_metric=NDCG@50"),
        Mistake("two shares for three parts", f"{POP} --eval_args.split.RS=[0.8,0.2]"),
        Mistake("a misspelt entry of a mapping", f"{POP} --eval_args.ordre=TO"),
        Mistake(
            "a recency that nothing counts by",
            "--model=CLLM4Rec --dataset=shop --variant=paper --recency=0.5 --eval_args.order=TO",
        ),
        Mistake(
            "a stage that S3Rec does not have", "--model=S3Rec --dataset=shop --item_attribute=title --train_stage=foo"
        ),
        Mistake("finetuning of nothing", "--model=S3Rec --dataset=shop --train_stage=finetune"),
        Mistake("a split by time, in random order", f"{POP} '--eval_args.split={{TS: [0.8, 0.1, 0.1]}}'"),
        Mistake("two kinds of split", f"{POP} --eval_args.split.LS=valid_only"),
        Mistake("a mode of evaluation that nobody has", f"{POP} --eval_args.mode=uni"),
        Mistake(
            "a bound on gradients without its size", f"{POP} --clip_grad_norm={{norm_type: 2}}".replace(" 2", "\\ 2")
        ),
        Mistake("heads that do not divide a size", "--model=SASRec --dataset=shop --n_heads=3 --hidden_size=64"),
        Mistake("sequences for a model that reads none", f"{POP} --transform=crop_itemseq"),
        Mistake("RecBole's mixed precision", "--model=CLLM4Rec --dataset=shop --enable_amp=True"),
        Mistake("a dataset that would be saved", f"{POP} --save_dataset=True"),
        Mistake(
            "leave-one-out of files split already",
            f"{POP} --benchmark_filename=[a,b,c] --eval_args.order=TO '--eval_args.split={{LS: valid_and_test}}'",
        ),
        Mistake("a filter of files split already", f"{POP} --benchmark_filename=[a,b,c] --rm_dup_inter=first"),
        Mistake("sparse steps for a model that has none", "--model=BPR --dataset=shop --learner=sparse_adam"),
        Mistake("no negatives for a model of pairs", "--model=BPR --dataset=shop --train_neg_sample_args=null"),
        Mistake("a closed form without its regularisation", "--model=EASE --dataset=shop --reg_weight=0"),
        Mistake("two columns of one name", f"{POP} --LABEL_FIELD=item_id"),
        Mistake("an interval that is none", f"{POP} --user_inter_num_interval=5"),
        Mistake("a column name where a list is due", f"{POP} --load_col.inter=user_id"),
        Mistake("a folder of results above the results", f"{POP} --run_name=../mine"),
        Mistake("a result folder that is a file", f"{POP} --result_dir=notes.txt", {"notes.txt": "mine"}),
        Mistake("a checkpoint folder without a name", f"{POP} --checkpoint_dir=''"),
        Mistake("a checkpoint folder that is a file", f"{POP} --checkpoint_dir=notes.txt", {"notes.txt": "mine"}),
        Mistake("a variant that a model has not", "--model=CLLM4Rec --dataset=shop --variant=LLM-CB"),
        Mistake("a span with its ends the wrong way round", "--model=CLLM4Rec --dataset=shop --mask_share=[0.6,0.1]"),
        Mistake("latest items where nothing is in order", "--model=TextEASE --dataset=shop --recency=0.5"),
        Mistake("items read that may be recommended", f"{POP} --history_read=train+valid --history_mask=train"),
        Mistake("too little room for a document", "--model=CLLM4Rec --dataset=shop --backbone=scratch --max_length=8"),
        Mistake("a backbone folder without a model", "--model=CLLM4Rec --dataset=shop --backbone=dataset"),
    ],
    "Atomic files and the dataset's yaml": [
        Mistake(
            "files that are not named as their folder",
            POP,
            {INTER: None, "dataset/shop/store.inter": "user_id:token\n"},
        ),
        Mistake("an empty file", POP, {INTER: ""}),
        Mistake("a header and no row", POP, _inter()),
        Mistake("a header without types", POP, _inter("u1 i1 1", header="user_id item_id timestamp")),
        Mistake(
            "a type that does not exist", POP, _inter("u1 i1 1", header="user_id:token item_id:token timestamp:int")
        ),
        Mistake("commas between columns", POP, {INTER: "user_id:token,item_id:token\nu1,i1\n"}),
        Mistake("a column twice", POP, _inter("u1 i1 1", header="user_id:token item_id:token item_id:token")),
        Mistake(
            "another name of the user column", POP, _inter("u1 i1 1", header="user:token item_id:token timestamp:float")
        ),
        Mistake(
            "an id declared as a number", POP, _inter("1 2 3", header="user_id:float item_id:token timestamp:float")
        ),
        Mistake(
            "times declared as words", POP, _inter("u1 i1 1", header="user_id:token item_id:token timestamp:token")
        ),
        Mistake("a cell too many", POP, _inter("u1 i1 1", "u1 i2 2 3")),
        Mistake("an id that is empty", POP, _inter("u1 i1 1", " i2 2")),
        Mistake("an id that RecBole keeps", POP, _inter("u1 i1 1", "[PAD] i2 2")),
        Mistake("a date where a number is due", POP, _inter("u1 i1 2024-01-31")),
        Mistake("a time that is infinite", POP, _inter("u1 i1 1", "u1 i2 inf")),
        Mistake("a time that is missing", POP, _inter("u1 i1 1", "u1 i2 ")),
        Mistake(
            "interactions that stand there twice",
            POP,
            _inter(*[f"u{u} i{i} {i}" for u in range(9) for i in range(9)] * 2),
        ),
        Mistake("Latin-1 for UTF-8", POP, {INTER: b"user_id:token\titem_id:token\ttimestamp:float\n\xe9\ti1\t1\n"}),
        Mistake("an encoding that Python does not have", f"{POP} --encoding=utf8x"),
        Mistake("a text column that is not there", POP, _yaml("text_fields.item: [titel]\n")),
        Mistake("texts of users without a file of users", POP, _yaml("text_fields.user: [biography]\n")),
        Mistake("a template with a column that is no text", POP, _yaml("text_template: {item: '{name}'}\n")),
        Mistake("a template with a brace too many", POP, _yaml("text_template: {item: '{title'}\n")),
        Mistake("a column to load that is not there", POP, _yaml("load_col.inter: [user_id, item_id, time]\n")),
        Mistake("a threshold on a column that is not loaded", POP, _yaml("threshold: {rating: 4}\n")),
        Mistake(
            "a split by time without times",
            f"{POP} --eval_args.order=TO",
            _yaml("load_col.inter: [user_id, item_id]\n"),
        ),
        Mistake("filters that leave nothing", f"{POP} --user_inter_num_interval=[50,inf)"),
        Mistake("two names for three parts", f"{POP} --benchmark_filename=[train,test]"),
        Mistake("parts that are not there", f"{POP} --benchmark_filename=[train,valid,test]"),
        Mistake("a recipe for a model that nobody has", POP, _yaml("for_model: {Popp: {epochs: 1}}\n")),
    ],
    "Going on, checkpoints": [
        Mistake("a folder without a run", f"{POP} --resume=saved/shop"),
        Mistake("a number for a folder", f"{POP} --resume=3"),
        Mistake("another configuration", "{run} --epochs=9 --resume=FOLDER", start="stopped"),
        Mistake("a checkpoint cut short, and no other", "{run} --resume", {"training.safetensors": b"cut"}, "stopped"),
        Mistake("a manifest that is no JSON", "{run} --resume", {"manifest.json": "{"}, "stopped"),
        Mistake(
            "a manifest that names other files",
            "{run} --resume",
            {"manifest.json": '{"format":1,"files":{"../x":{"bytes":1,"sha256":""}}}'},
            "stopped",
        ),
        Mistake(
            "a checkpoint of another version", "{run} --resume", {"manifest.json": '{"format":9,"files":{}}'}, "stopped"
        ),
        Mistake(
            "other data than before",
            "{run} --resume",
            _inter(*(f"u{u} i{i} {u + i}" for u in range(6) for i in range(5))),
            "stopped",
        ),
    ],
    "Results, recommendations": [
        Mistake("no run", "--recommend --out=a.csv"),
        Mistake("a run that is not there", "--recommend=results/shop/EASE-2020 --out=a.csv"),
        Mistake("no file to write", f"--recommend={RESULT}", start="finished"),
        Mistake("a file that is there", f"--recommend={RESULT} --out=a.csv", {"a.csv": "mine"}, "finished"),
        Mistake("a folder that is not there", f"--recommend={RESULT} --out=lists/a.csv", start="finished"),
        Mistake("none of the best", f"--recommend={RESULT} --out=a.csv --k=0", start="finished"),
        Mistake("an option of training", f"--recommend={RESULT} --out=a.csv --seed=1", start="finished"),
        Mistake("a result that is no JSON", f"--recommend={RESULT} --out=a.csv", {RESULT: "{"}, "finished"),
        Mistake("a result of another program", f"--recommend={RESULT} --out=a.csv", {RESULT: "{}"}, "finished"),
        Mistake("weights that are gone", f"--recommend={RESULT} --out=a.csv", {"saved": None}, "finished"),
        Mistake(
            "other data than the run's",
            f"--recommend={RESULT} --out=a.csv",
            _inter(*(f"u{u} i{i} {u + i}" for u in range(6) for i in range(5))),
            "finished",
        ),
    ],
    "Comparing, tuning": [
        Mistake("a model that nobody has", "--models=Pop,Popp --dataset=shop"),
        Mistake("a row twice", "--models=Pop,Pop --dataset=shop"),
        Mistake("a number for models", "--models=3 --dataset=shop"),
        Mistake("no seed", "--models=Pop --dataset=shop --seeds=0"),
        Mistake("a row without seeds", "--models=Pop@0 --dataset=shop"),
        Mistake("a variant of a model that has none", "--models=Pop:paper --dataset=shop"),
        Mistake("a reference that is no row", "--models=Pop,EASE --dataset=shop --reference=BPR"),
        Mistake("a model without a space", f"{POP} --tune"),
        Mistake("a space that is not there", f"{POP} --tune=space.yaml"),
        Mistake("a range the wrong way round", f"{POP} --tune=space.yaml", {"space.yaml": "seed: {low: 3, high: 1}\n"}),
        Mistake(
            "a parameter that a model has not",
            f"{POP} --tune=space.yaml",
            {"space.yaml": "reg_weight: {low: 1, high: 3}\n"},
        ),
        Mistake("a space over seeds", f"{POP} --tune=space.yaml", {"space.yaml": "seed: {low: 1, high: 3}\n"}),
        Mistake(
            "a line that is none of RecBole's",
            f"{POP} --tune=model.hyper",
            {"model.hyper": "learning_rate normal 0,1\n"},
        ),
    ],
    "Converting raw files": [
        Mistake("a source that does not exist", "netflix a.csv --out dataset/work"),
        Mistake("no folder to write", "jobs clicks.csv"),
        Mistake("a name that names no dataset", "jobs clicks.csv --out 'dataset/my jobs'", CSV),
        Mistake("a folder that is there", "jobs clicks.csv --out dataset/shop", CSV),
        Mistake("a file that is not there", JOBS),
        Mistake("a file of another kind", "jobs clicks.xls --out dataset/work", {"clicks.xls": "a"}),
        Mistake("an empty file", JOBS, {"clicks.csv": ""}),
        Mistake("columns that cannot be guessed", JOBS, {"clicks.csv": "who,what\na,b\n"}),
        Mistake("a column that is not there", f"{JOBS} --columns member=applicant", CSV),
        Mistake("an action without a weight", JOBS, {"clicks.csv": CLICKS.replace("click", "like")}),
        Mistake("a time that is none", JOBS, {"clicks.csv": CLICKS + "m1,j1,yesterday,click\n"}),
        Mistake("a row with a cell too many", JOBS, {"clicks.csv": CLICKS + "m1,j1,2024-01-31,click,x\n"}),
        Mistake("a quote that is never closed", JOBS, {"clicks.csv": CLICKS + 'm1,"j1,2024-01-31,click\n'}),
        Mistake("filters that leave nothing", f"{JOBS} --min-user 99", CSV),
        Mistake(
            "a gzip file that is cut off",
            "amazon reviews.json.gz --out dataset/work",
            {"reviews.json.gz": b"\x1f\x8b\x08\0\0\0\0\0\0\3K"},
        ),
        Mistake(
            "a line that is no JSON",
            "amazon reviews.json --out dataset/work",
            {"reviews.json": REVIEW + "{]\n"},
        ),
        Mistake("a zip that is none", "movielens ml.zip --out dataset/work", {"ml.zip": "no zip"}),
        Mistake("a folder without a release", "movielens dataset --out dataset/work"),
        Mistake("a folder without Yelp's files", "yelp dataset --out dataset/work"),
    ],
}
