// pe_stationary with a register behind its multipliers, for steps of one cycle: a step starts, and its operand is passed on, as there; the
// product meets the sum from above a cycle later.
`include "parameters.svh"
module pe_stationary_staged #(`PE_PARAMETERS, parameter FLOW = 1, OVERLAP = 0, DEPTH = 0,
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
    output reg finish,  // the sum is complete at the end of this cycle
    output stall,
    output reg signed [`ACC-1:0] psum
);
    wire [SW-1:0] streamed_used;
    wire [LW-1:0] kept;
    wire first_used, second, ends, blocked;
    step_control #(SW + 1, DEPTH) control(
        .clk(clk), .rst(rst), .phase(phase), .advance(advance), .valid(valid), .room(room & ~blocked), .operands({first, streamed}),
        .two(1'b0), .used({first_used, streamed_used}), .start(start), .second(second), .finish(ends));
    assign stall = 1'b0;

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
            always @(posedge clk) if (ends & first_used) active <= next;
            assign kept = first_used ? next : active;
        end else begin : single
            always @(posedge clk) if (advance & token) active <= load;
            assign kept = active;
        end
    endgenerate

    wire signed [`VALUE-1:0] value;
    always @(posedge clk) finish <= ~rst & ends;
    assign psum_below = psum_above + value;
    always @(posedge clk)
        if (rst) psum <= 0;
        else if (finish) psum <= psum_below;

    generate
        if (FLOW == 1) begin : weights_stay
            dot_staged #(`PE_PASS) dot(clk, streamed_used, kept, value);
        end else begin : activations_stay
            dot_staged #(`PE_PASS) dot(clk, kept, streamed_used, value);
        end
    endgenerate
endmodule
