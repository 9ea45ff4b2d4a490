// A PE that keeps its partial sum and passes both operands on. Sums drain down the column: the accumulators shift themselves, or, with
// OVERLAP, shadow accumulators do, so that the next tile can start.
`include "parameters.svh"
module pe_os #(`PE_PARAMETERS, parameter OVERLAP = 0, DEPTH = 0) (
    input clk,
    input rst,
    input phase,
    input advance,
    input valid,
    input room,
    input first,  // the step is a tile's first
    input last,   // the step is a tile's last
    input [AW-1:0] a,
    input [WW-1:0] w,
    output start,
    output done,  // a tile's last step ends in this cycle
    output stall, // lockstep: the wave must take a second cycle
    input shift,  // take the sum of the PE above
    input signed [`ACC-1:0] above,
    output signed [`ACC-1:0] below,
    output reg signed [`ACC-1:0] acc
);
    wire [AW-1:0] a_used;
    wire [WW-1:0] w_used;
    wire first_used, last_used, second, finish, two;
`ifdef BIT_SCALABLE
    wire [STATE:0] now, next;
    step_sequence #(AW + WW + 2, DEPTH, STATE) control(
        .clk(clk), .rst(rst), .phase(phase), .advance(advance), .valid(valid), .room(room), .operands({first, last, w, a}),
        .next(next), .used({first_used, last_used, w_used, a_used}), .start(start), .now(now), .finish(finish));
    assign {second, two} = {now[0], next[0]};
    assign stall = (DEPTH == 0) & (start | second) & two;
`else
    step_control #(AW + WW + 2, DEPTH) control(
        .clk(clk), .rst(rst), .phase(phase), .advance(advance), .valid(valid), .room(room), .operands({first, last, w, a}),
        .two(two), .used({first_used, last_used, w_used, a_used}), .start(start), .second(second), .finish(finish));
    assign stall = (DEPTH == 0) & start & two;
`endif
    assign done = finish & last_used;

    wire signed [`VALUE-1:0] value;
`ifdef BIT_SCALABLE
    dot_scalable #(`PE_PASS) dot(a_used, w_used, now, next, value);
`else
    `DOT #(`PE_PASS) dot(a_used, w_used, second, two, value);
`endif
    wire signed [`ACC-1:0] sum = (first_used & ~second ? 0 : acc) + value;
    wire work = start | second;

    generate
        if (OVERLAP != 0) begin : shadowed
            reg signed [`ACC-1:0] shadow;
            // In a wave of several cycles a PE that needs fewer has added before the wave ends.
`ifdef BIT_SCALABLE
            wire signed [`ACC-1:0] total = work ? sum : acc;
`else
            wire signed [`ACC-1:0] total = KIND != `EXACT | work ? sum : acc;
`endif
            always @(posedge clk)
                if (done) shadow <= total;
                else if (shift) shadow <= above;
            assign below = shadow;
            always @(posedge clk)
                if (rst) acc <= 0;
                else if (work) acc <= sum;
        end else begin : plain
            assign below = acc;
            always @(posedge clk)
                if (rst) acc <= 0;
                else if (work) acc <= sum;
                else if (shift) acc <= above;
        end
    endgenerate
endmodule
