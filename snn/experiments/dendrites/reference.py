#!/usr/bin/env python3
"""Figures of the validation examples by Dendrify itself, as `validation.rs` has them.

Usage: python3 -m venv reference && reference/bin/pip install dendrify==2.2.0 brian2==2.9.0 'numpy<2' scipy
       reference/bin/python snn/experiments/dendrites/reference.py

Models and protocols are those of the authors' examples val_dendritic_attenuation, val_fi_curve, val_dendritic_io, val_rinput
and val_tau; the last one, potentials of single synapses, is ours.
"""
import brian2 as b
import numpy as np
from brian2 import Mohm, cm, ms, mV, nS, ohm, pA, pF, uF, um, uS
from dendrify import Dendrite, NeuronModel, PointNeuronModel, Soma
from scipy.optimize import curve_fit

b.prefs.codegen.target = "numpy"
SPIKES = dict(threshold="V_soma > -40*mV", reset="V_soma = -55*mV", refractory=4 * ms)


def attenuation():
    soma = Soma("soma", length=25 * um, diameter=25 * um)
    names = ["trunk", "prox", "dist"]
    parts = [soma] + [Dendrite(n, length=100 * um, diameter=d * um) for n, d in zip(names, [1.5, 1.2, 1.0])]
    model = NeuronModel(
        list(zip(parts, parts[1:])), cm=1 * uF / cm**2, gl=50 * uS / cm**2, v_rest=-70 * mV, r_axial=400 * ohm * cm
    )
    group = model.make_neurongroup(1, method="euler")
    group.I_ext_soma = -10 * pA
    b.Network(group).run(500 * ms)
    return [float(getattr(group, f"V_{n}")[0] / mV) + 70 for n in ["soma"] + names]


def two_compartments(configure=lambda dendrite: None, dendritic_spike=False):
    soma = Soma("soma", cm_abs=200 * pF, gl_abs=10 * nS)
    dendrite = Dendrite("dend", cm_abs=50 * pF, gl_abs=2.5 * nS)
    configure(dendrite)
    if dendritic_spike:
        dendrite.dspikes("Na", g_rise=30 * nS, g_fall=15 * nS)
    model = NeuronModel([(soma, dendrite, 15 * nS)], v_rest=-65 * mV)
    if dendritic_spike:
        model.config_dspikes(
            "Na", threshold=-35 * mV, duration_rise=1.2 * ms, duration_fall=2.4 * ms, offset_fall=0.2 * ms,
            refractory=5 * ms, reversal_rise="E_Na", reversal_fall="E_K",
        )
    return model


def rates():
    currents = np.arange(320, 620, 20)
    group = two_compartments().make_neurongroup(len(currents), method="euler", **SPIKES)
    spikes = b.SpikeMonitor(group)
    group.I_ext_soma = currents * pA
    b.Network(group, spikes).run(1000 * ms)
    return list(spikes.count[:])


def synapses(kinds, count, dendritic_spike):
    """Peaks of the dendrite's depolarisation for one to `count` synapses 0.1 ms apart, and when the first is reached."""

    def configure(dendrite):
        for kind, time in kinds:
            dendrite.synapse(kind, tag="x", g=3 * nS, t_decay=time * ms)

    group = two_compartments(configure, dendritic_spike).make_neurongroup(count, method="euler", **SPIKES)
    source = b.SpikeGeneratorGroup(count, range(count), [(10 + 0.1 * i) * ms for i in range(count)])
    effect = "; ".join(f"s_{kind}_x_dend += 1.0" for kind, _ in kinds)
    connections = b.Synapses(source, group, on_pre=effect)
    connections.connect("j >= i")
    monitor = b.StateMonitor(group, "V_dend", record=True)
    b.Network(group, source, connections, monitor).run(200 * ms)
    courses = np.array(monitor.V_dend / mV) + 65
    peaks = np.abs(courses).argmax(axis=1)
    return [round(float(c[p]), 4) for c, p in zip(courses, peaks)], float(monitor.t[peaks[0]] / ms) - 10


def point(model, capacitance, leak, current, duration, **parameters):
    neuron = PointNeuronModel(model=model, cm_abs=capacitance * pF, gl_abs=leak * nS, v_rest=-70 * mV)
    neuron.add_params(parameters)
    group = neuron.make_neurongroup(1, method="euler")
    monitor = b.StateMonitor(group, "V", record=0)
    group.I_ext = current * pA
    b.Network(group, monitor).run(duration * ms)
    return np.array(monitor.V[0] / mV)


def resistances():
    return [float((point("leakyIF", 250 * f, 20 * f, -20, 500).min() + 70) / -20e-3) for f in (1, 1.2, 0.8)]


def time_constant(model, **parameters):
    course = point(model, 250, 20, -10, 200, **parameters)
    course = course[: course.argmin()]
    course = (course - course.min()) / (course.max() - course.min())
    times = np.arange(len(course)) * 0.1
    return float(curve_fit(lambda t, a, tau: a * np.exp(-t / tau), times, course, p0=(1, 10))[0][1])


BOTH = [("AMPA", 2), ("NMDA", 50)]
print("attenuation, mV:", attenuation())
print("spikes in a second at 320, 340, … 600 pA:", rates())
print("one to fifteen synapses, mV:", synapses(BOTH, 15, True)[0])
print("the same, passive dendrite:", synapses(BOTH, 15, False)[0])
print("input resistances, MΩ:", resistances())
print("time constants, ms:", time_constant("leakyIF"), time_constant("adaptiveIF", tauw=100 * ms, a=2 * nS))
for kind, time in [("AMPA", 2), ("NMDA", 50), ("GABA", 10)]:
    print(kind, "mV and ms:", synapses([(kind, time)], 1, False))
