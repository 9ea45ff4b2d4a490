// A PE that keeps one operand (FLOW = 1: the weight, 2: the activation), passes the other to the right and its sum down. Loading: operands move
// down one row per cycle, a token one row every two cycles; the operand for row r enters r cycles after the token, which meets it there.
// With OVERLAP the next operand waits in a second register until the first step of its tile. With elastic links as well, an operand
// says in PLACE bits how many rows it has yet to pass (load_control), and a tile's first step waits for it.
`include "parameters.svh"
module pe_stationary #(`PE_PARAMETERS, parameter FLOW = 1, OVERLAP = 0, DEPTH = 0,
                       SW = FLOW == 1 ? AW : WW, LW = FLOW == 1 ? WW : AW, PLACE = 0) (
    input clk,
    input rst,
    input phase,
    input advance,
    input valid,
    input room,
    input first,
    input [SW-1:0] streamed,
    input token,
    input [LW+PLACE-1:0] load,
    output token_below,
    output [LW+PLACE-1:0] load_below,
    input signed [`ACC-1:0] psum_above,
    output signed [`ACC-1:0] psum_below,
    output start,
    output taken,  // elastic, OVERLAP: the next operand is taken up
    output finish,
    output stall,
    output reg signed [`ACC-1:0] psum
);
    wire [SW-1:0] streamed_used;
    wire [LW-1:0] kept;
    wire first_used, second, two, blocked;
`ifdef BIT_SCALABLE
    wire [STATE:0] now, next;
    step_sequence #(SW + 1, DEPTH, STATE) control(
        .clk(clk), .rst(rst), .phase(phase), .advance(advance), .valid(valid), .room(room & ~blocked), .operands({first, streamed}),
        .next(next), .used({first_used, streamed_used}), .start(start), .now(now), .finish(finish));
    assign {second, two} = {now[0], next[0]};
    assign stall = (DEPTH == 0) & (start | second) & two;
`else
    step_control #(SW + 1, DEPTH) control(
        .clk(clk), .rst(rst), .phase(phase), .advance(advance), .valid(valid), .room(room & ~blocked), .operands({first, streamed}),
        .two(two), .used({first_used, streamed_used}), .start(start), .second(second), .finish(finish));
    assign stall = (DEPTH == 0) & start & two;
`endif

    reg [1:0] tokens;
    reg [LW+PLACE-1:0] passing;
    reg [LW-1:0] active;
    assign load_below = passing;

    generate
        if (PLACE == 0) begin : by_token
            assign token_below = tokens[1];
            assign blocked = 1'b0;
            assign taken = 1'b0;
            always @(posedge clk)
                if (rst) tokens <= 0;
                else if (advance) tokens <= {tokens, token};
            always @(posedge clk) if (advance) passing <= load;
        end

        if (PLACE != 0) begin : by_place
            reg [LW-1:0] next;
            reg full;
            wire mine = token & load[LW+:PLACE] == 0;
            assign token_below = tokens[0];
            assign taken = start & first;
            assign blocked = first & ~full;
            assign kept = taken ? next : active;
            always @(posedge clk) begin
                tokens <= {1'b0, ~rst & token & ~mine};
                passing <= {load[LW+:PLACE] - 1'b1, load[LW-1:0]};
                full <= ~rst & (mine | full & ~taken);
                if (mine) next <= load[LW-1:0];
                if (taken) active <= next;
            end
        end else if (OVERLAP != 0) begin : doubled
            reg [LW-1:0] next;
            always @(posedge clk) if (advance & token) next <= load;
            always @(posedge clk) if (finish & first_used) active <= next;
            assign kept = first_used ? next : active;
        end else begin : single
            always @(posedge clk) if (advance & token) active <= load;
            assign kept = active;
        end
    endgenerate

    wire signed [`VALUE-1:0] value;
    wire work = start | second;
    wire signed [`ACC-1:0] sum = (second ? psum : psum_above) + value;
    // In a wave of several cycles a PE that needs fewer has added before the wave ends.
`ifdef BIT_SCALABLE
    assign psum_below = work ? sum : psum;
`else
    assign psum_below = KIND != `EXACT | work ? sum : psum;
`endif
    always @(posedge clk)
        if (rst) psum <= 0;
        else if (work) psum <= sum;

    generate
        if (FLOW == 1) begin : weights_stay
`ifdef BIT_SCALABLE
            dot_scalable #(`PE_PASS) dot(streamed_used, kept, now, next, value);
`else
            `DOT #(`PE_PASS) dot(streamed_used, kept, second, two, value);
`endif
        end else begin : activations_stay
`ifdef BIT_SCALABLE
            dot_scalable #(`PE_PASS) dot(kept, streamed_used, now, next, value);
`else
            `DOT #(`PE_PASS) dot(kept, streamed_used, second, two, value);
`endif
        end
    endgenerate
endmodule
