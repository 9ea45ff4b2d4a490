// What one PE costs in an output-stationary lockstep array: the PE and the registers that pass its operands on.
`include "parameters.svh"
module area_pe #(`PE_PARAMETERS) (
    input clk,
    input rst,
    input phase,
    input advance,
    input valid,
    input first,
    input last,
    input [AW-1:0] a,
    input [WW-1:0] w,
    input shift,
    input signed [`ACC-1:0] above,
    output signed [`ACC-1:0] below,
    output right_valid,
    output [AW+1:0] right,
    output [WW-1:0] down,
    output done,
    output stall
);
    wire start, unused_ready_a, unused_ready_w, unused_valid;
    wire signed [`ACC-1:0] acc;
    `PE_OS #(`PE_PASS) pe(
        .clk(clk), .rst(rst), .phase(phase), .advance(advance), .valid(valid), .room(1'b1), .first(first), .last(last),
        .a(a), .w(w), .start(start), .done(done), .stall(stall), .shift(shift), .above(above), .below(below), .acc(acc));
    link #(AW + 2) to_the_right(clk, rst, advance, valid, {first, last, a}, unused_ready_a, right_valid, right, 1'b1);
    link #(WW) downwards(clk, rst, advance, 1'b0, w, unused_ready_w, unused_valid, down, 1'b1);
endmodule
