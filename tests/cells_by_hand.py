"""A library of three cells and a netlist of them, small enough to count and add up by hand.

Cells: capacitances in fF, 2 V, so a transition of 1 fF costs half of 4 fJ.
"""

LIBRARY = """
/* three cells */
library (by_hand) {
  time_unit : "1ns"; voltage_unit : "1V"; leakage_power_unit : "1nW"
  capacitive_load_unit (1, ff);
  nom_voltage : 2; nom_temperature : 25;
  power_lut_template (grid) {
    variable_1 : total_output_net_capacitance; variable_2 : input_transition_time;
    index_1 ("0, 10"); index_2 ("0, 1");
  }
  cell (INV) { cell_leakage_power : 1;
    pin (A) { direction : input; capacitance : 3; }
    pin (Y) { direction : output; function : "A'";
      internal_power () { related_pin : "A";
        rise_power (grid) { values ("1, 2", \\
                                    "3, 4"); }
        fall_power (grid) { index_1 ("0, 10"); index_2 ("0, 1"); values ("0, 1", "2, 3"); } }
      timing () { related_pin : "A"; cell_rise (grid) { values ("}, {", "0"); } } } }
  cell (NAND2) { cell_leakage_power : 2;
    pin (A) { direction : input; capacitance : 2;
      internal_power () { rise_power (scalar) { values ("0.25"); } fall_power (scalar) { values ("0.75"); } } }
    pin ("B") { direction : "input"; rise_capacitance : 3; fall_capacitance : 5; }
    pin (Y) { direction : output; function : "!(A B)";
      internal_power () { related_pin : "A"; rise_power (scalar) { values ("1"); } fall_power (scalar) { values ("0"); } }
      internal_power () { related_pin : "B"; rise_power (scalar) { values ("2"); } fall_power (scalar) { values ("1"); } } } }
  cell (DFF) { ff (IQ, IQN) { next_state : "D"; clocked_on : "CLK"; }
    leakage_power () { value : 2; when : "D"; } leakage_power () { value : 4; when : "!D"; }
    pin (D) { direction : input; capacitance : 5; }
    pin (CLK) { direction : input; clock : true; capacitance : 7;
      internal_power () { rise_power (scalar) { values ("0.1"); } fall_power (scalar) { values ("0.2"); } }
      internal_power () { when : "D * Q"; rise_power (scalar) { values ("8"); } fall_power (scalar) { values ("8"); } } }
    pin (Q) { direction : output; function : "IQ";
      internal_power () { related_pin : "CLK"; rise_power (scalar) { values ("2"); } fall_power (scalar) { values ("3"); } } } }
  cell (LATCH) { latch (IQ, IQN) { enable : "C"; data_in : "D"; }
    pin (D) { direction : input; } pin (C) { direction : input; } pin (Q) { direction : output; function : "IQ"; } }
}
"""

NETLIST = """/* made by hand */
module area(clk, a, b, q);
  wire _0_;
  input clk; wire clk;
  input a;
  wire a;
  input b;
  wire b;
  output [1:0] q;
  wire [1:0] q;
  wire [3:2] \\some.where[0] ;
  NAND2 u1 (
    .A(a), .B(b),
    .Y(_0_)
  );
  INV u2 ( .A(_0_), .Y(\\some.where[0] [3]) );
  DFF \\r.q  ( .CLK(clk), .D(\\some.where[0] [3]), .Q(q[0]) );
  assign q[1] = 1'h1;
  assign { \\some.where[0] [2] } = { a };
endmodule
"""

#: a and b in each cycle. So the gate has 1 1 0 0 1, the inverter 0 0 1 1 0, and the register, a
#: cycle later, 0 0 0 1 1.
INPUTS = ((0, 0), (1, 0), (1, 1), (1, 1), (0, 1))
#: (rises, falls) by net, against the cycle before.
TRANSITIONS = {
    "a": (1, 1),
    "b": (1, 0),
    "_0_": (1, 1),
    "\\some.where[0] [3]": (1, 1),
    "q[0]": (1, 0),
}
CYCLES = len(INPUTS) - 1
#: Loads 2, 4, 3, 5 and 0 fF.
SWITCHING_FJ = 4 / 2 * (2 * 2 + 1 * 4 + 2 * 3 + 2 * 5)
#: The gate's input, its output (the mean of its two causes), the inverter at 5 fF and 0.5 ns, the
#: register.
INTERNAL_FJ = (0.25 + 0.75) + (1.5 + 0.5) + (2.5 + 1.5) + 2
#: In one cycle, the third, both D and Q are 1.
CLOCK_FJ = CYCLES * (4 * 7 + 0.1 + 0.2) + 1 * (8 + 8)
#: 6 nW for 10 ns.
LEAKAGE_FJ = CYCLES * (1 + 2 + 3) * 10 * 1e-3
"""At which the energies above are."""
CLOCK_NS, SLEW_NS = 10.0, 0.5
