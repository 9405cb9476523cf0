"""Commands that answer whether a model is linear, and explain it."""

import itertools

import numpy as np

import foldline as fl

from ..exact import rounded
from ..proofs import about
from ..wording import EXACT_DIGITS, Writer, input_names, output_names
from .codes import DONE, LIMIT, NO
from .counts import box_of, names_of
from .evaluations import numbers
from .talk import Progress

__all__ = ["check", "explain", "verify"]


def check(args):
    net = fl.load(args.model, drop_final=args.drop_final)
    box = box_of(args, net)
    with Progress("looking for folds"):
        limits = {"max_regions": args.max_regions, "time_limit": args.time_limit}
        found = fl.check_affine(net, box, args.outputs, args.tol, **limits)
    proof = found.certificate or found.witness
    if args.save and proof:
        proof.save(args.save)
    facts = {
        "model": args.model,
        "low": box.low,
        "high": box.high,
        "status": found.status,
        "reason": found.reason,
        "outputs": found.outputs,
        "tol": found.tol,
        "A": found.A,
        "b": found.b,
        "witness": None,
        "deviation": found.deviation,
        "n_regions": found.n_regions,
        "volume_proved": found.volume_proved,
        "slope_change": found.slope_change,
        "seconds": found.seconds,
        "saved": args.save if proof else None,
        "digest": net.digest,
    }
    if found.witness:
        names = ("x", "y", "z", "outputs", "neurons")
        facts["witness"] = {name: getattr(found.witness, name) for name in names}
        facts["witness"]["gap"] = rounded(found.witness.gap)
    text = [_verdict_text(found, net)]
    if args.save:
        text.append(f"The proof is in {args.save}." if proof else "There is no proof to save.")
    code = {"affine": DONE, "not_affine": NO, "undecided": LIMIT}[found.status]
    return facts, "\n".join(text), code


def _verdict_text(found, net):
    names = output_names(net.n_out)
    if found.status == "affine":
        within = f" within {found.tol:g}" if found.tol else ""
        writer, proof = Writer(input_names(net.n_in), EXACT_DIGITS), found.certificate
        rows = (
            f"  {names[k]} = {writer.formula(row, b)}" for k, row, b in zip(found.outputs, proof.A, proof.b)
        )
        return "\n".join([f"Affine{within}: {found.reason}.", *itertools.islice(rows, 20)])
    if found.status == "not_affine":
        w = found.witness
        points = "\n".join(f"  {name} = {numbers(getattr(w, name))}" for name in "xyz")
        neurons = f"neuron{'s' * (len(w.neurons) > 1)} {', '.join(map(str, w.neurons))}"
        return (
            f"Not affine: {found.reason}.\n{points}\n"
            f"  f(x) + f(y) - 2 f(z) = {about(w.gap)} in {names[w.outputs[0]]}; the fold is of {neurons}."
        )
    text = f"Undecided: {found.reason}."
    if found.volume_proved > 0:
        text += f" One map is proved on {found.volume_proved:.3%} of the box."
    if found.slope_change:
        text += f" The largest change of slope seen is {found.slope_change:.6g}."
    return text


def verify(args):
    proof = fl.load_proof(args.proof)
    net = fl.load(args.model, drop_final=args.drop_final)
    refusal = proof.refusal(net)
    claim = "affine" if isinstance(proof, fl.Certificate) else "not affine"
    facts = {"model": args.model, "proof": args.proof, "claim": claim, "holds": refusal is None}
    facts |= {"outputs": proof.outputs, "refusal": refusal, "digest": net.digest}
    if refusal:
        return facts, f"Refused: {refusal}.", NO
    within = f", within {float(proof.tol):g}" if proof.tol else ""
    names = output_names(net.n_out)
    outputs = ", ".join(names[k] for k in proof.outputs)
    return facts, f"Verified in exact arithmetic: {claim}{within}, in {outputs}, on the proof's domain.", DONE


def explain(args):
    net = fl.load(args.model, drop_final=args.drop_final)
    names = names_of(args, net)
    with Progress("looking"):
        limits = {"max_regions": args.max_regions, "time_limit": args.time_limit}
        domain = _explained_domain(args, net, names)
        found = fl.explain(net, domain, names, most=args.most, digits=args.digits, **limits)
    written = {"text": str, "markdown": fl.Explanation.to_markdown, "latex": fl.Explanation.to_latex}
    code = LIMIT if found.n_pieces is None else DONE
    return {"model": args.model, **found.to_dict()}, written[args.format](found), code


def _explained_domain(args, net, names):
    """The box, all of space, or the slice of the box through a point along one or two inputs."""
    if args.space:
        if args.vary or args.at:
            raise ValueError("--space is all of space; it takes no --vary and no --at")
        return fl.Space(net.n_in)
    box = box_of(args, net)
    if not args.vary:
        if args.at:
            raise ValueError("--at holds the inputs that do not vary; wanted --vary as well")
        return box
    varied = args.vary.split(",")
    unknown = [name for name in varied if name not in names]
    if unknown or not 1 <= len(set(varied)) == len(varied) <= 2:
        raise ValueError(f"--vary is {args.vary}; wanted one or two different ones of {','.join(names)}")
    middle = np.array(args.at) if args.at else (box.low + box.high) / 2
    if middle.shape != (net.n_in,):
        raise ValueError(f"--at has {len(middle)} values; wanted {net.n_in}")
    axes = [names.index(name) for name in varied]
    if len(axes) == 1:
        ends = np.array([middle, middle])
        ends[:, axes[0]] = box.low[axes[0]], box.high[axes[0]]
        return fl.Segment(*ends)
    middle[axes] = (box.low[axes] + box.high[axes]) / 2
    halves = np.diag((box.high - box.low) / 2)
    return fl.Plane(middle, *halves[axes])
