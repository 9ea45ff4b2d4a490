// A pair of activations as the PEs of a row see it: {mux, code2, code1, q2, q1}.
// One lone value takes both multipliers: the high half of its window goes to its own, the low half to the other.
module trim_unit #(parameter BITS = 4, STRIDE = 1, PLACES = 5, CODE = 3, LONE_PLACES = 1, ROUND = 1, PAIRING = 1) (
    input [7:0] x1,
    input [7:0] x2,
    output [2*(BITS+CODE):0] pair,
    output lone,
    output lost  // trimmed to a pair of windows, a bit that is 1 was dropped
);
    wire [BITS-1:0] q1, q2;
    wire [CODE-1:0] code1, code2;
    wire lost1, lost2;
    trim_value #(BITS, STRIDE, PLACES, CODE, ROUND) trim1(x1, q1, code1, lost1);
    trim_value #(BITS, STRIDE, PLACES, CODE, ROUND) trim2(x2, q2, code2, lost2);
    assign lost = lost1 | lost2;

    wire [2*BITS-1:0] lone_q;
    wire [CODE-1:0] low_code;
    wire lone_lost;
    trim_value #(2 * BITS, 1, LONE_PLACES, CODE, ROUND) trim_lone(x1 | x2, lone_q, low_code, lone_lost);
    wire [CODE-1:0] high_code = low_code + BITS / STRIDE;
    wire [BITS-1:0] high = lone_q[2*BITS-1:BITS], low = lone_q[BITS-1:0];

    wire zero1 = x1 == 0, zero2 = x2 == 0;
    assign lone = (PAIRING != 0) & (zero1 ^ zero2);
    assign pair = ~lone ? {1'b0, code2, code1, q2, q1}
                : zero2 ? {1'b1, low_code, high_code, low, high}
                        : {1'b1, high_code, low_code, high, low};
endmodule
