// What one PE costs in a weight-stationary (FLOW = 1) or input-stationary (FLOW = 2) array: the PE with the registers of its loads, and the
// registers or FIFOs that pass the streamed operand on and, with elastic links, the sum.
`include "parameters.svh"
module area_stationary #(`PE_PARAMETERS, parameter FLOW = 1, OVERLAP = 0, DEPTH = 0, PLACE = 0,
                         SW = FLOW == 1 ? AW : WW, LW = FLOW == 1 ? WW : AW) (
    input clk,
    input rst,
    input phase,
    input advance,
    input valid,
    input above_valid,
    input first,
    input [SW-1:0] streamed,
    input token,
    input [LW+PLACE-1:0] load,
    input right_pop,
    input down_pop,
    input signed [`ACC-1:0] psum_above,
    output token_below,
    output [LW+PLACE-1:0] load_below,
    output right_valid,
    output [SW:0] right,
    output down_valid,
    output signed [`ACC-1:0] psum_below,
    output start,
    output taken,
    output stall
`ifdef TWO_STAGES
    , input sum_pop  // the PE below adds to the sum
`endif
);
    wire moves = DEPTH != 0 | advance;
    wire right_ready, down_ready, finish;
    wire signed [`ACC-1:0] sum, psum;
    `PE_STATIONARY #(`PE_PASS, .FLOW(FLOW), .OVERLAP(OVERLAP), .DEPTH(DEPTH), .PLACE(PLACE)) pe(
        .clk(clk), .rst(rst), .phase(DEPTH == 0 & phase), .advance(moves), .valid(valid & (DEPTH == 0 | above_valid)),
        .room(right_ready & down_ready), .first(first), .streamed(streamed), .token(token), .load(load),
        .token_below(token_below), .load_below(load_below), .psum_above(psum_above), .psum_below(sum), .start(start),
        .taken(taken), .finish(finish), .stall(stall), .psum(psum));
    link #(SW + 1, DEPTH) to_the_right(
        clk, rst, moves, DEPTH ? start : valid, {first, streamed}, right_ready, right_valid, right, right_pop);
    generate
        if (DEPTH == 0) begin : register
            assign {down_ready, down_valid, psum_below} = {1'b1, finish, psum};
        end else begin : fifo
`ifdef TWO_STAGES
            // That a sum is on its way, and, a cycle behind, the sum.
            wire unused, unused_ready, unused_valid;
            link #(1, DEPTH) promise(clk, rst, moves, start, 1'b1, down_ready, down_valid, unused, down_pop);
            link #(`ACC, DEPTH) sums(clk, rst, moves, finish, sum, unused_ready, unused_valid, psum_below, sum_pop);
`else
            link #(`ACC, DEPTH) downwards(clk, rst, moves, finish, sum, down_ready, down_valid, psum_below, down_pop);
`endif
        end
    endgenerate
endmodule
