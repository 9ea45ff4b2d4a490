// What one PE costs in an output-stationary array of any coupling: the PE, its shadow accumulator (OVERLAP), and the registers or FIFOs
// that pass its operands on. Lockstep without overlap: area_pe.
`include "parameters.svh"
module area_os #(`PE_PARAMETERS, parameter OVERLAP = 0, DEPTH = 0) (
    input clk,
    input rst,
    input phase,
    input advance,
    input a_valid,
    input w_valid,
    input first,
    input last,
    input [AW-1:0] a,
    input [WW-1:0] w,
    input shift,
    input leaving,
    input right_pop,
    input down_pop,
    input signed [`ACC-1:0] above,
    output signed [`ACC-1:0] below,
    output right_valid,
    output [AW+1:0] right,
    output down_valid,
    output [WW-1:0] down,
    output start,
    output moving,
    output stall
);
    localparam SHADOWS = OVERLAP && DEPTH;
    wire moves = DEPTH != 0 | advance;
    wire right_ready, down_ready, waiting, done;
    wire signed [`ACC-1:0] acc, held;
    `PE_OS #(`PE_PASS, .OVERLAP(OVERLAP && DEPTH == 0), .DEPTH(DEPTH)) pe(
        .clk(clk), .rst(rst), .phase(DEPTH == 0 & phase), .advance(moves), .valid(a_valid & (DEPTH == 0 | w_valid)),
        .room(right_ready & down_ready & ~waiting), .first(first), .last(last), .a(a), .w(w), .start(start), .done(done),
        .stall(stall), .shift(SHADOWS ? 1'b0 : shift), .above(above), .below(held), .acc(acc));
    link #(AW + 2, DEPTH) to_the_right(
        clk, rst, moves, DEPTH ? start : a_valid, {first, last, a}, right_ready, right_valid, right, right_pop);
    // In lockstep weights are used when an activation is there.
    link #(WW, DEPTH) downwards(clk, rst, moves, DEPTH ? start : 1'b0, w, down_ready, down_valid, down, down_pop);
    generate
        if (SHADOWS) begin : shadowed
            shadow shadow(.clk(clk), .rst(rst), .done(done), .leaving(leaving), .shift(shift), .acc(acc), .above(above),
                          .below(below), .handed(moving), .waiting(waiting));
        end else begin : direct
            assign {moving, below, waiting} = {done, held, 1'b0};
        end
    endgenerate
endmodule
